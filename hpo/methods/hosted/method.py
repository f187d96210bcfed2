"""A method of another library as a schedule: the game asks us, we ask the library, and what it decides is what we decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hpo.methods import options as checks
from hpo.methods.hosted import environments
from hpo.methods.hosted.libraries import HOSTED, Library
from hpo.methods.hosted.process import Guest, HostFailed, opened
from hpo.methods.hosted.spaces import Translation
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searchers.costs import Costs
from hpo.methods.searchers.history import History
from hpo.study.space import Config
from hpo.study.values import Decision, Segment, canonical
from hpo.text import shown

LIMIT = 600.0  # seconds for one answer
ASKED_IN_A_ROW = 100  # suggestions that cannot be had, of a library that may go on with other trials after them
TAG = 20  # of our own random draws, in place of suggestions that were made before
FULL, STOPPING = "full", "stopping"  # kinds of guests, and "promoting"

Answer = TypeVar("Answer")


@dataclass
class Trial:
    """A trial of the run; `theirs` is its number at the library, which may have asked for others that were not to be had."""

    theirs: int
    config: Config
    epochs: int = 0
    stop: int = 0  # of the segment under way; 0 where none is
    ended: bool = False


class Hosted:
    """A library's method in a process of its own.

    What the library suggests a second time is replaced by a random new configuration, and it is told so, as it is of
    configurations that the study's `start` names, and of the nearest open candidate where the space is a pool.

    Options of every library: name (which of its methods), max_epochs (R), limit (seconds for one answer), flat (a library
    that knows no conditions searches all hyperparameters always), deterministic (false: the same seed does not give the same
    suggestions). All others are the library's.
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
        self._setting, self._library = setting, HOSTED[method].library(method, name)
        self._name, self._python = self._library.name, environments.python_of(self._library)
        self._history = History(setting, Costs(setting, aware=False))
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
        self._ours: dict[int, int] = {}  # a trial's number at the library -> in the run
        self._ready: deque[int] = deque()
        self._stored: Mapping[int, Config] = {}
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
        return self._guarded(self._next, None)

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        return self._guarded(lambda: self._observe(trial, epoch, value), Decision.STOP)

    def on_failure(self, trial: int, epoch: int) -> None:
        self._trials[trial].ended = True
        self._guarded(lambda: self._open().tell("fail", trial=self._trials[trial].theirs), None)

    def close(self) -> None:
        if self._guest is not None:
            self._guest.close()

    def repeat(self, configs: Mapping[int, Config]) -> None:
        self._stored = configs

    # -- what the library answers -------------------------------------------------------------------------------------

    def _guarded(self, step: Callable[[], Answer], instead: Answer) -> Answer:
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
        """Asks the library until it names a trial that can be trained, or nothing."""
        for _ in range(1 if self._exhausted else ASKED_IN_A_ROW):
            if self._exhausted and self._kind in (FULL, STOPPING):
                return None
            asked = self._open().ask("ask", self._limit)["ask"]
            if asked is None:
                return None
            theirs, to, suggested = self._understood(asked)
            trial = self._ours.get(theirs)
            if trial is not None:
                return self._segment(trial, to)
            config = self._new(theirs, suggested)
            if config is not None:
                self._ours[theirs] = trial = len(self._trials)
                self._trials.append(Trial(theirs, config))
                return self._segment(trial, 1 if self._kind == STOPPING else to)
            self._exhausted = True
            self._open().tell("fail", trial=theirs)
        return None

    def _understood(self, asked: Any) -> tuple[int, int, Mapping[str, Any]]:
        """Returns the trial, the epoch to train it to, and a new one's configuration, as the library told them."""
        match asked:
            case [int(theirs), int(to), suggested] if theirs in self._ours:
                known = self._trials[self._ours[theirs]]
                if not (known.ended or known.stop) and known.epochs < to <= self._max_epochs:
                    return theirs, to, {}
            case [int(theirs), int(to), dict(suggested)] if 0 < to <= self._max_epochs:
                return theirs, to, suggested
        raise HostFailed(f"{self._name} must ask for a trial that can be trained, but asked for {shown(asked)}")

    def _new(self, theirs: int, suggested: Mapping[str, Any]) -> Config | None:
        """Returns the new trial's configuration: the suggested one, unless it was made before; None if nothing is left."""
        wanted = self._translation.understood(self._name, suggested)
        config = self._settled(theirs, wanted)
        if config is not None and config != wanted:
            self._open().tell("take", trial=theirs, config=self._translation.full(config, suggested))
        return config

    def _settled(self, theirs: int, wanted: Config) -> Config | None:
        start, stored = self._history.next_start(), self._stored.get(len(self._trials))
        if start is not None:
            return start
        if stored is not None and self._history.is_new(stored):
            return self._history.take(stored)
        if self._setting.space.pool is None and self._history.is_new(wanted):
            return self._history.take(wanted)
        near = self._nearest_open(wanted)
        if near is not None:
            return self._history.take(near)
        return self._history.fresh(np.random.default_rng([self._setting.seed, TAG, theirs]))

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
        decision = self._decided(known, epoch, value)
        if epoch == known.stop:
            known.stop = 0
        if decision is Decision.STOP:
            known.ended = True
            self._open().tell("close", trial=known.theirs)
        elif self._kind == STOPPING:
            self._ready.append(trial)
        return decision

    def _decided(self, known: Trial, epoch: int, value: float) -> Decision:
        told = {"trial": known.theirs, "epoch": epoch, "value": value}
        if self._kind == STOPPING:
            answer = self._open().ask("observe", self._limit, **told).get("decision")
            if answer not in ("continue", "stop"):
                raise HostFailed(f"{self._name} must decide continue or stop, but decided {shown(answer)}")
            decision = Decision(answer)
        else:
            self._open().tell("observe", **told)
            decision = Decision.PAUSE if epoch == known.stop else Decision.CONTINUE
        return Decision.STOP if epoch == self._max_epochs else decision


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
