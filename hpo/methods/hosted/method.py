"""A method of another library as a schedule: the game asks us, we ask the library, and what it decides is what we decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.methods import options as checks
from hpo.methods.hosted import environments
from hpo.methods.hosted.libraries import HOSTED, Library
from hpo.methods.hosted.process import Guest, HostFailed, opened
from hpo.methods.hosted.spaces import Translation
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searchers.history import History
from hpo.study.space import Config
from hpo.study.values import Decision, Segment, canonical
from hpo.text import shown

LIMIT = 600.0  # seconds for one answer
TAG = 20  # of our own random draws, in place of suggestions that were made before
FULL, STOPPING = "full", "stopping"  # kinds of guests, and "promoting"


@dataclass
class Trial:
    config: Config
    epochs: int = 0
    stop: int = 0  # of the segment under way
    ended: bool = False


class Hosted:
    """A library's method in a process of its own.

    What the library suggests a second time is replaced by a random new configuration, and it is told so, as it is of
    configurations that the study's `start` names, and of the nearest open candidate where the space is a pool.

    Options of every library: max_epochs (R), limit (seconds for one answer), flat (a library that knows no conditions
    searches all hyperparameters always), deterministic (false: the same seed does not give the same suggestions). All
    others are the library's.
    """

    oblivious = False
    expensive = True

    def __init__(
        self,
        setting: Setting,
        method: str,
        *,
        name: str = "",
        max_epochs: int | None = None,
        limit: float = LIMIT,
        flat: bool = False,
        deterministic: bool = True,
        **options: Any,
    ) -> None:
        self._max_epochs = checks.epochs(setting, max_epochs)
        self._limit = checks.real("limit", limit, 1e-3, 1e9)
        self._library, self._setting = HOSTED[method].library(method, name), setting
        self._name = self._library.name
        self._python = environments.python_of(self._library)
        self._history = History(setting)
        self._translation = Translation(setting.space, flat=checks.flag("flat", flat))
        self._opening = {
            "name": name, "options": options, "space": self._translation.told, "max_epochs": self._max_epochs,
            "budget": setting.budget, "seed": setting.seed, "parallelism": setting.parallelism, "prior": self._prior(),
        }  # fmt: skip
        found = _tried(self._library, self._python, self._opening)
        self._kind = found["kind"]
        self.deterministic = checks.flag("deterministic", deterministic) and bool(found["deterministic"])
        self._guest: Guest | None = None
        self._trials: list[Trial] = []
        self._ready: deque[int] = deque()
        self._exhausted = False
        self.broken = ""

    def _prior(self) -> list[tuple[Config, int, float]]:
        known = [(r.config, len(r.curve), r.curve[-1]) for r in self._history.records.values() if r.curve]
        return [(self._translation.full(config), epochs, best) for config, epochs, best in known]

    @property
    def max_epochs(self) -> int:
        return self._max_epochs

    # -- what the game asks -------------------------------------------------------------------------------------------

    def next_segment(self) -> Segment | None:
        if self._ready:
            return self._segment(trial := self._ready.popleft(), self._trials[trial].epochs + 1)
        return None if self.broken or self._exhausted else self._guarded(self._next, None)

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        return self._guarded(lambda: self._observe(trial, epoch, value), Decision.STOP)

    def on_failure(self, trial: int, epoch: int) -> None:
        self._trials[trial].ended = True
        if not self.broken:
            self._open().tell("fail", trial=trial)

    def close(self) -> None:
        """Ends the library's process: the run is over."""
        if self._guest is not None:
            self._guest.close()

    # -- what the library answers -------------------------------------------------------------------------------------

    def _guarded(self, step: Any, instead: Any) -> Any:
        """Takes a step of the library; where that fails, the method is broken and decides `instead`."""
        if self.broken:
            return instead
        try:
            return step()
        except (HostFailed, InvalidOption) as error:
            self.broken = str(error)
            self._ready.clear()
            self.close()
            return instead

    def _open(self) -> Guest:
        if self._guest is None:
            self._guest, _ = opened(self._library, self._python, self._opening, self._limit)
        return self._guest

    def _next(self) -> Segment | None:
        asked = self._open().ask("ask", self._limit)["ask"]
        if asked is None:
            return None
        trial, to, suggested = self._understood(asked)
        if trial < len(self._trials):
            return self._segment(trial, to)
        config = self._new(trial, suggested)
        if config is None:
            self._exhausted = self._kind in (FULL, STOPPING)
            self._open().tell("fail", trial=trial)
            return None
        self._trials.append(Trial(config))
        return self._segment(trial, self._trials[trial].epochs + 1 if self._kind == STOPPING else to)

    def _understood(self, asked: Any) -> tuple[int, int, dict[str, Any]]:
        """Returns the trial, the epoch to train it to, and a new one's configuration, as the library told them."""
        try:
            trial, to, suggested = asked
            known = self._trials[trial] if trial < len(self._trials) else None
            first = 0 if known is None else known.epochs
            fits = 0 <= trial <= len(self._trials) and first < to <= self._max_epochs
            fits = fits and (isinstance(suggested, dict) if known is None else not (known.ended or known.stop))
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise HostFailed(f"{self._name} must ask for a trial that can train on, but asked for {shown(asked)}")
        return trial, to, suggested

    def _new(self, trial: int, suggested: dict[str, Any]) -> Config | None:
        """Returns the new trial's configuration: the suggested one, unless it was made before; None if nothing is left."""
        theirs = self._translation.understood(self._name, suggested)
        config = self._history.next_start() or self._taken(self._nearest_open(theirs))
        if config is None and self._setting.space.pool is None and self._history.is_new(theirs):
            return self._history.take(theirs)
        config = config or self._history.fresh(np.random.default_rng([self._setting.seed, TAG, trial]))
        if config is not None and config != theirs:
            self._open().tell("take", trial=trial, config=self._translation.full(config, suggested))
        return config

    def _taken(self, config: Config | None) -> Config | None:
        return None if config is None else self._history.take(config)

    def _nearest_open(self, config: Config) -> Config | None:
        """Returns the open candidate nearest to a configuration; None where the space is no pool, or nothing is open."""
        space = self._setting.space
        if space.pool is None:
            return None
        place = space.features(config)
        return self._history.best_open(space.pool.features, lambda rows: -((rows - place) ** 2).sum(axis=1))

    def _segment(self, trial: int, stop: int) -> Segment:
        known = self._trials[trial]
        known.stop = stop
        return Segment(trial, known.config, known.epochs, stop)

    def _observe(self, trial: int, epoch: int, value: float) -> Decision:
        known = self._trials[trial]
        known.epochs = epoch
        told = {"trial": trial, "epoch": epoch, "value": value}
        through = epoch == known.stop
        if self._kind != STOPPING:
            self._open().tell("observe", **told)
            decision = Decision.PAUSE if through else Decision.CONTINUE
        else:
            decision = Decision(self._open().ask("observe", self._limit, **told)["decision"])
        if epoch == self._max_epochs or decision is Decision.STOP:
            known.ended = True
            self._open().tell("close", trial=trial)
            return Decision.STOP
        if through:
            known.stop = 0
            if self._kind == STOPPING:
                self._ready.append(trial)
        return decision


_known: dict[str, Mapping[str, Any]] = {}


def _tried(library: Library, python: str, opening: Mapping[str, Any]) -> Mapping[str, Any]:
    """Opens a run and closes it again; returns what the library says of itself. Raises InvalidOption where it cannot."""
    name = canonical([library.name, python, {**opening, "seed": 0, "prior": [], "budget": 0}])
    if name not in _known:
        try:
            first, _known[name] = opened(library, python, {**opening, "prior": []}, LIMIT)
            first.close()
        except HostFailed as error:
            raise InvalidOption(str(error)) from error
    return _known[name]
