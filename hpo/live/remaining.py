"""How many epochs a study has yet to train, and how long its slots will take for them: physical figures, not virtual ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.game.curves import Curves
from hpo.game.run import Run, ahead
from hpo.game.runs import affordable
from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.live.pace import Pace, left

COUNT_SECONDS = 2.0  # between two counts of the epochs that are lacking: it takes a while where there are many runs


@dataclass(frozen=True)
class Rest:
    """What is left to train: `epochs`, at `rate` epochs a second lately, None until that is known."""

    epochs: float
    rate: float | None

    @property
    def seconds(self) -> float | None:
        """The seconds that this will take; None until that is known."""
        if not self.epochs:
            return 0.0
        return self.epochs / self.rate if self.rate else None


class Remaining:
    """Reads off a dispatch what is left of its study, and remembers what the rate needs of the past."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._pace = Pace()
        self._counted, self._due = (0.0, 0), 0.0  # the epochs lacking, and those known by then
        study = dispatch.study
        self._charge = study.budget.amount * study.folds / affordable(study)  # for an epoch, on average over the space

    def read(self, occupancy: Occupancy | None) -> Rest:
        """Returns what is left to train now; exams train epochs that nobody counts."""
        now, trained = time.monotonic(), self._dispatch.trained
        if trained or (occupancy is not None and occupancy.busy):
            self._pace.note(now, trained)
        epochs = self._lacking(now)
        return Rest(epochs, self._pace.rate(now, trained) if epochs else None)

    def _lacking(self, now: float) -> float:
        """Estimates the epochs yet to be trained. It counts them now and then, and in between subtracts what came."""
        cells = self._dispatch.arena.curves.cells
        if now >= self._due:
            self._due = now + COUNT_SECONDS
            self._counted = lacking(self._dispatch.arena.runs, self._dispatch.arena.curves, self._charge), cells
        counted, then = self._counted
        return 0.0 if self._dispatch.arena.done else max(1.0, counted - (cells - then))


def lacking(runs: Sequence[Run], curves: Curves, charge: float) -> float:
    """Estimates the epochs yet to be trained: each run's own, but as many shared as were shared so far.

    `charge`: what a run is charged for an epoch on average over the search space.
    """
    own, used = 0.0, 0
    for run in runs:
        trained, before = run.charged_epochs // run.rules.charge, ahead(run, curves)
        used += trained + before
        if not run.done:
            own += left(run.ledger.budget, run.ledger.committed, trained, before, charge)
    return own * min(1.0, curves.cells / used) if used else own
