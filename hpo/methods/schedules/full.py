"""The full schedule: trains every configuration to the end. Pure."""

from __future__ import annotations

from hpo.methods import options
from hpo.methods.protocol import Searcher, Setting
from hpo.methods.schedules.roster import Composed, oblivious
from hpo.study.values import Decision, Segment


class Full(Composed):
    """Trains each suggestion for R epochs: grid, random and all black-box search.

    Option: max_epochs (R, by default and at most the study's).
    """

    def __init__(self, setting: Setting, searcher: Searcher, *, max_epochs: int | None = None) -> None:
        super().__init__(searcher, options.epochs(setting, max_epochs))

    @property
    def oblivious(self) -> bool:
        return oblivious(self.roster.searcher)

    def next_segment(self) -> Segment | None:
        trial = self.roster.create()
        return None if trial is None else self.roster.segment(trial, self.max_epochs)

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        if not through:
            return Decision.CONTINUE
        self.roster.close(trial)
        return Decision.STOP

    def drop(self, trial: int, epoch: int) -> None:
        """Does nothing: the next configuration takes the trial's place."""
