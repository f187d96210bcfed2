"""The frame of schedules that stop trials for good: each trial trains on at once until the rule ends it. Pure."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import final

from hpo.methods.protocol import Searcher
from hpo.methods.schedules.roster import Composed
from hpo.study.values import Decision, Segment


class Stopping(Composed):
    """A free worker goes on with the trial that it had; if that one ended, it starts a new one.

    A segment reaches to the next epoch at which the rule may stop the trial: no result can shorten it.
    """

    def __init__(self, searcher: Searcher, max_epochs: int) -> None:
        super().__init__(searcher, max_epochs)
        self._ready: deque[int] = deque()

    @abstractmethod
    def judged_at(self, trial: int, epoch: int) -> int:
        """Returns the first epoch after `epoch` at which the rule may stop the trial (beyond R: never again)."""

    @abstractmethod
    def stops(self, trial: int, epoch: int, value: float) -> bool:
        """Takes in an epoch; returns whether the rule ends the trial here. Called after every epoch."""

    @abstractmethod
    def ended(self, trial: int, failed: bool) -> None:
        """Handles a trial that was stopped, trained to R, or failed."""

    @final
    def next_segment(self) -> Segment | None:
        trial = self._ready.popleft() if self._ready else self.roster.create()
        if trial is None:
            return None
        return self.roster.segment(trial, min(self.max_epochs, self.judged_at(trial, self.roster.epochs(trial))))

    @final
    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        if self.stops(trial, epoch, value) or epoch == self.max_epochs:
            self.roster.close(trial)
            self.ended(trial, failed=False)
            return Decision.STOP
        if through:
            self._ready.append(trial)
        return Decision.CONTINUE

    @final
    def drop(self, trial: int, epoch: int) -> None:
        self.ended(trial, failed=True)
