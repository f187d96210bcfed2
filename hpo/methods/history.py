"""What searchers share: which configurations are out, what they gave, and a total order of what was seen. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hpo.methods.protocol import Setting
from hpo.space import Config
from hpo.trial import digest

DRAWS = 1000  # random draws before the space is searched for what is left
LISTED = 20_000  # spaces up to this size are listed when random draws find nothing new


@dataclass
class Record:
    """A configuration and the best value of it up to each epoch that was observed."""

    config: Config
    best: float = -np.inf
    epoch: int = 0
    failed: bool = False
    closed: bool = False

    @property
    def pending(self) -> bool:
        """Suggested, and neither stopped nor trained out nor failed."""
        return not (self.failed or self.closed)


class Seen(NamedTuple):
    """A configuration with its place in the order of all: `level` epochs first, then `value`; failures last."""

    config: Config
    level: int
    value: float
    failed: bool


@dataclass
class History:
    """The memory of a searcher: suggestions, observations, failures; start configurations and prior results too.

    Memory grows linearly with the number of configurations, not with epochs.
    """

    setting: Setting
    records: dict[str, Record] = field(default_factory=dict)
    _start: deque[Config] = field(default_factory=deque)
    _left: list[Config] | None = None

    def __post_init__(self) -> None:
        self._start.extend(self.setting.start)
        for earlier in self.setting.prior:
            record = self.records.setdefault(
                f"prior {digest(dict(earlier.config))}", Record(earlier.config, closed=True)
            )
            record.best, record.epoch = max(record.best, earlier.value), max(record.epoch, earlier.epoch)

    def __len__(self) -> int:
        return len(self.records)

    def is_new(self, config: Config) -> bool:
        """Whether the configuration was not suggested yet."""
        return digest(dict(config)) not in self.records

    def take(self, config: Config) -> Config:
        """The configuration is suggested now."""
        self.records[digest(dict(config))] = Record(config)
        return config

    def next_start(self) -> Config | None:
        """The next of the study's start configurations, None when they are out."""
        while self._start:
            config = self._start.popleft()
            if self.is_new(config):
                return self.take(config)
        return None

    def fresh(self, rng: np.random.Generator) -> Config | None:
        """A random configuration that was not suggested; None where the space is exhausted."""
        space = self.setting.space
        for _ in range(DRAWS):
            config = space.sample(rng)
            if self.is_new(config):
                return self.take(config)
        if space.size > LISTED:
            return None
        if self._left is None:
            listed = space.grid(points=LISTED)
            self._left = [listed[i] for i in rng.permutation(len(listed))]
        while self._left:
            left = self._left.pop()
            if left in space and self.is_new(left):
                return self.take(left)
        return None

    def observe(self, config: Config, epoch: int, value: float) -> None:
        record = self.records[digest(dict(config))]
        record.best, record.epoch = max(record.best, value), max(record.epoch, epoch)

    def fail(self, config: Config) -> None:
        self.records[digest(dict(config))].failed = True

    def close(self, config: Config) -> None:
        self.records[digest(dict(config))].closed = True

    def pending(self) -> list[Config]:
        """What is out and unfinished."""
        return [record.config for record in self.records.values() if record.pending]

    def seen(self, pending: bool = True) -> list[Seen]:
        """What was observed, in the order in which it was suggested; `pending`: configurations still running as well."""
        return list(self._seen(pending))

    def _seen(self, pending: bool) -> Iterator[Seen]:
        for record in self.records.values():
            if record.failed:
                yield Seen(record.config, 0, -np.inf, True)
            elif record.epoch > 0 and (pending or record.closed):
                yield Seen(record.config, record.epoch, record.best, False)


def ranks(seen: list[Seen]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The place of each in the order of all, 0 the best: longer training first, then the better value; shape [n].

    What a schedule trained further it had found good, so that the order holds across training lengths, as Optuna
    orders pruned trials below complete ones.
    """
    order = sorted(range(len(seen)), key=lambda i: (seen[i].failed, -seen[i].level, -seen[i].value, i))
    places = np.empty(len(seen), dtype=np.int64)
    places[order] = np.arange(len(seen))
    return places
