"""A study at a moment, as the display shows it, and how it is read off the dispatch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from hpo.game.curves import Curves
from hpo.game.run import Run, ahead
from hpo.game.runs import affordable
from hpo.live.dispatch import Dispatch
from hpo.live.display.pace import Pace, left
from hpo.live.display.words import measured
from hpo.live.incidents import KEPT, Incident
from hpo.live.occupancy import Occupancy

COUNT_SECONDS = 2.0  # between two counts of the epochs that are lacking: it takes a while where there are many runs


@dataclass(frozen=True)
class Tally:
    """How a method stands: its runs together. `best` is its best incumbent, `mean` that of the incumbents of its runs."""

    method: str
    runs: int
    over: int  # runs that are over
    charged: float
    budget: float
    best: float | None
    mean: float | None
    running: int  # trials, from here on
    paused: int
    failed: int


@dataclass(frozen=True)
class Moment:
    """A study at a moment. `left` and `rate` are None until they are known; `occupancy` once no slot works any more.

    `stored` counts the epochs that were in the store when this sitting began, `trained` those of this sitting. `share`: of
    the epochs that are known and those yet to be trained, the known ones. They may be charged later: each run waits for
    its own virtual order.
    """

    study: str
    metric: str
    unit: str
    elapsed: float  # seconds of this sitting
    left: float | None  # seconds
    share: float
    charged: float
    budget: float
    stored: int
    trained: int
    rate: float | None  # epochs a second, lately
    occupancy: Occupancy | None
    exams: tuple[int, int]  # under way, to come
    tallies: tuple[Tally, ...]
    promotions: tuple[Incident, ...]  # the last ones, the latest last
    incidents: tuple[Incident, ...]  # likewise
    met: int  # incidents that there ever were
    failed: int  # trials
    trouble: str  # why rows do not reach the store

    @property
    def events(self) -> list[Incident]:
        """The last promotions and incidents together, the latest last."""
        return sorted([*self.promotions, *self.incidents], key=lambda event: event.at)


class Watch:
    """Reads moments off a dispatch, and remembers what rates and promotions need of the past."""

    def __init__(self, dispatch: Dispatch) -> None:
        runs = dispatch.arena.runs
        self._dispatch = dispatch
        self._began = time.monotonic()
        self._stored = dispatch.arena.curves.cells
        self._pace = Pace()
        self._seen = [run.states.resumptions for run in runs]
        self._promoted: deque[Incident] = deque(maxlen=KEPT)
        self._counted, self._count_due = (0.0, 0), 0.0  # the epochs lacking, and those known by then
        study = dispatch.study
        self._charge = study.budget.amount * study.folds / affordable(study)  # for an epoch, on average over the space
        self._labels = list(dict.fromkeys(run.key.method for run in runs))

    def read(self, occupancy: Occupancy | None) -> Moment:
        dispatch, now = self._dispatch, time.monotonic()
        runs, trained = dispatch.arena.runs, dispatch.trained
        if trained or (occupancy is not None and occupancy.busy):
            self._pace.note(now, trained)
        lacking, known = self._lacking(now), dispatch.arena.curves.cells
        rate = self._pace.rate(now, trained) if lacking else None  # exams train epochs that nobody counts
        study, unit = dispatch.study, dispatch.study.budget.unit
        return Moment(
            study=study.study,
            metric=study.metric,
            unit=unit.name,
            elapsed=now - self._began,
            left=lacking / rate if rate else None,
            share=known / (known + lacking) if lacking else 1.0,
            charged=sum(run.ledger.unit.value(run.ledger.committed) for run in runs),
            budget=sum(run.ledger.unit.value(run.ledger.budget) for run in runs),
            stored=self._stored,
            trained=trained,
            rate=rate,
            occupancy=occupancy,
            exams=dispatch.exams,
            tallies=self._tallies(study.mode),
            promotions=self._promotions(),
            incidents=tuple(dispatch.incidents.last),
            met=dispatch.incidents.count,
            failed=len(dispatch.arena.curves.failures),
            trouble=dispatch.writer.trouble,
        )

    def _lacking(self, now: float) -> float:
        """Estimates the epochs yet to be trained. It counts them now and then, and in between subtracts what came."""
        cells = self._dispatch.arena.curves.cells
        if now >= self._count_due:
            self._count_due = now + COUNT_SECONDS
            self._counted = lacking(self._dispatch.arena.runs, self._dispatch.arena.curves, self._charge), cells
        counted, then = self._counted
        return 0.0 if self._dispatch.arena.done else max(1.0, counted - (cells - then))

    def _tallies(self, mode: str) -> tuple[Tally, ...]:
        by_label: dict[str, list[Run]] = {label: [] for label in self._labels}
        for run in self._dispatch.arena.runs:
            by_label[run.key.method].append(run)
        return tuple(tally(label, runs, mode) for label, runs in by_label.items())

    def _promotions(self) -> tuple[Incident, ...]:
        """Returns the last promotions; of a run's promotions between two looks, the last one."""
        for place, run in enumerate(self._dispatch.arena.runs):
            trial = run.states.resumed
            if trial is not None and run.states.resumptions > self._seen[place]:
                self._seen[place] = run.states.resumptions
                so_far = "1 epoch" if trial.epochs == 1 else f"{trial.epochs} epochs"
                text = f"{run.key} takes trial {trial.key.id} further, after {so_far} at {measured(trial.best_value)}"
                self._promoted.append(Incident(time.time(), "promoted", text))
        return tuple(self._promoted)


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


def tally(label: str, runs: Sequence[Run], mode: str) -> Tally:
    """Adds up the runs of a method."""
    values = [run.incumbent.value for run in runs if run.incumbent is not None]
    best = max if mode == "max" else min
    return Tally(
        method=label,
        runs=len(runs),
        over=sum(run.done for run in runs),
        charged=sum(run.ledger.unit.value(run.ledger.committed) for run in runs),
        budget=sum(run.ledger.unit.value(run.ledger.budget) for run in runs),
        best=best(values, default=None),
        mean=fmean(values) if len(values) == len(runs) else None,
        running=sum(run.states["running"] for run in runs),
        paused=sum(run.states["paused"] for run in runs),
        failed=sum(run.states["failed"] for run in runs),
    )
