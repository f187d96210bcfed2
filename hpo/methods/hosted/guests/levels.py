"""The frame of libraries that say how far to train: they ask for (configuration, epochs) and are told the best value there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, NamedTuple

from .terms import PROMOTING, Ask, Config

KNOWN_IN_A_ROW = 1000  # answers that need no training, after which a library is taken to be at its end


class Wanted(NamedTuple):
    """What a library asks for: `key` is the same for one configuration at all levels, `token` is its own name for this one."""

    key: Hashable
    token: Any
    to: int
    config: Config


class Levelled(ABC):
    """Numbers the trials, keeps their curves, and answers at once what needs no training.

    That is a level at which a trial has been already (two of a library's levels may be the same number of epochs), and any
    level of a failed one. A level of a trial that is under way to another one waits until it is there.
    """

    kind = PROMOTING
    deterministic = True

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs
        self._numbers: dict[Hashable, int] = {}
        self._curves: list[list[float]] = []
        self._failed: set[int] = set()
        self._awaited: dict[int, tuple[Any, int]] = {}
        self._queued: list[tuple[int, Any, int]] = []

    @abstractmethod
    def wanted(self) -> Wanted | None:
        """Returns what the library wants next; None for nothing now, or nothing more."""

    @abstractmethod
    def told(self, token: Any, value: float | None) -> None:
        """Tells the library the best value up to a level, or None for a failure."""

    @abstractmethod
    def taken(self, token: Any, config: Config) -> Any:
        """Tells the library that another configuration is trained; returns the token from now on."""

    def ask(self) -> Ask | None:
        for _ in range(KNOWN_IN_A_ROW):
            ready = next((each for each in self._queued if each[0] not in self._awaited), None)
            if ready is not None:
                self._queued.remove(ready)
                trial, token, to = ready
                config = None
            else:
                wanted = self.wanted()
                if wanted is None:
                    return None
                token, to = wanted.token, max(1, min(wanted.to, self.max_epochs))
                config = wanted.config if wanted.key not in self._numbers else None
                trial = self._numbers.setdefault(wanted.key, len(self._numbers))
            if config is not None:
                self._curves.append([])
            if trial in self._awaited:
                self._queued.append((trial, token, to))
            elif trial in self._failed:
                self.told(token, None)
            elif to <= len(self._curves[trial]):
                self.told(token, max(self._curves[trial][:to]))
            else:
                self._awaited[trial] = token, to
                return Ask(trial, to, config)
        return None

    def take(self, trial: int, config: Config) -> None:
        token, to = self._awaited[trial]
        self._awaited[trial] = self.taken(token, config), to

    def observe(self, trial: int, epoch: int, value: float) -> str:
        self._curves[trial].append(value)
        token, to = self._awaited.get(trial, (None, 0))
        if epoch == to:
            del self._awaited[trial]
            self.told(token, max(self._curves[trial]))
        return "continue"

    def pause(self, trial: int) -> None:
        self.close(trial)

    def close(self, trial: int) -> None:
        """Tells what a trial gave whose level it did not reach, because a schedule of the driver ended or paused it."""
        token, _ = self._awaited.pop(trial, (None, 0))
        if token is not None:
            self.told(token, max(self._curves[trial]))

    def fail(self, trial: int) -> None:
        self._failed.add(trial)
        token, _ = self._awaited.pop(trial, (None, 0))
        if token is not None:
            self.told(token, None)
