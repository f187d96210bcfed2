"""A method of another library as a schedule: the game asks us, we ask the library, and what it decides is what we decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.methods.hosted.advisor import Advised, Advisor
from hpo.methods.hosted.process import HostFailed
from hpo.methods.hosted.searcher import FULL, HostedSearcher
from hpo.methods.protocol import Schedule, Setting
from hpo.methods.schedules.full import Full
from hpo.study.space import Config
from hpo.study.values import Decision, Segment
from hpo.text import shown

ASKED_IN_A_ROW = 100  # suggestions that cannot be had, of a library that may go on with other trials after them
STOPPING = "stopping"  # a kind of guests; the others are "promoting" and "full"


def hosted(setting: Setting, method: str, **options: Any) -> Schedule:
    """Builds another library's method; what only suggests configurations has them trained in full.

    Raises InvalidOption for options and spaces that the library refuses.
    """
    advisor = Advisor(setting, method, **options)
    if advisor.kind == FULL:
        return Full(setting, HostedSearcher(advisor), max_epochs=advisor.max_epochs)
    return Hosted(advisor)


@dataclass
class Trial:
    """A trial of the run; `theirs` is its number at the library, which may have asked for others that were not to be had."""

    theirs: int
    config: Config
    epochs: int = 0
    stop: int = 0  # of the segment under way; 0 where none is
    ended: bool = False


class Hosted(Advised):
    """A library's method that decides how far to train: it stops trials, or pauses them at levels and resumes the best."""

    oblivious = False
    expensive = True

    def __init__(self, advisor: Advisor) -> None:
        super().__init__(advisor)
        self._stopping = advisor.kind == STOPPING
        self._trials: list[Trial] = []
        self._ours: dict[int, int] = {}  # a trial's number at the library -> in the run
        self._ready: deque[int] = deque()
        self._exhausted = False

    @property
    def max_epochs(self) -> int:
        return self._advisor.max_epochs

    # -- what the game asks -------------------------------------------------------------------------------------------

    def next_segment(self) -> Segment | None:
        if self._ready:
            return self._segment(trial := self._ready.popleft(), self._trials[trial].epochs + 1)
        return self._advisor.guarded(self._next, None)

    def on_epoch(self, trial: int, epoch: int, value: float) -> Decision:
        return self._advisor.guarded(lambda: self._observe(trial, epoch, value), Decision.STOP)

    def on_failure(self, trial: int, epoch: int) -> None:
        self._trials[trial].ended = True
        self._advisor.guarded(lambda: self._advisor.tell("fail", trial=self._trials[trial].theirs), None)

    # -- what the library answers -------------------------------------------------------------------------------------

    def _next(self) -> Segment | None:
        """Asks the library until it names a trial that can be trained, or nothing."""
        for _ in range(1 if self._exhausted else ASKED_IN_A_ROW):
            if self._exhausted and self._stopping:
                return None
            asked = self._advisor.ask("ask")["ask"]
            if asked is None:
                return None
            theirs, to, suggested = self._understood(asked)
            trial = self._ours.get(theirs)
            if trial is not None:
                return self._segment(trial, to)
            config = self._advisor.settled(theirs, suggested)
            if config is not None:
                self._ours[theirs] = trial = len(self._trials)
                self._trials.append(Trial(theirs, config))
                return self._segment(trial, 1 if self._stopping else to)
            self._exhausted = True
        return None

    def _understood(self, asked: Any) -> tuple[int, int, Mapping[str, Any]]:
        """Returns the trial, the epoch to train it to, and a new one's configuration, as the library told them."""
        match asked:
            case [int(theirs), int(to), suggested] if theirs in self._ours:
                known = self._trials[self._ours[theirs]]
                if not (known.ended or known.stop) and known.epochs < to <= self.max_epochs:
                    return theirs, to, {}
            case [int(theirs), int(to), dict(suggested)] if 0 < to <= self.max_epochs:
                return theirs, to, suggested
        raise HostFailed(f"{self._advisor.name} must ask for a trial that can be trained, but asked for {shown(asked)}")

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
            self._advisor.tell("close", trial=known.theirs)
        elif self._stopping:
            self._ready.append(trial)
        return decision

    def _decided(self, known: Trial, epoch: int, value: float) -> Decision:
        told = {"trial": known.theirs, "epoch": epoch, "value": value}
        if self._stopping:
            answer = self._advisor.ask("observe", **told).get("decision")
            if answer not in ("continue", "stop"):
                raise HostFailed(f"{self._advisor.name} must decide continue or stop, but decided {shown(answer)}")
            decision = Decision(answer)
        else:
            self._advisor.tell("observe", **told)
            decision = Decision.PAUSE if epoch == known.stop else Decision.CONTINUE
        return Decision.STOP if epoch == self.max_epochs else decision
