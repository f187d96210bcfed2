"""A study at a moment, as the display shows it, and how it is read off the dispatch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from hpo.game.run import Run
from hpo.live.dispatch import Dispatch
from hpo.live.display.words import measured
from hpo.live.incidents import KEPT, Incident
from hpo.live.occupancy import Occupancy
from hpo.live.remaining import Remaining


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
    running: int  # trials, from here on; these are being trained, be it for others too
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
        self._remaining = Remaining(dispatch)
        self._seen = [run.states.resumptions for run in runs]
        self._promoted: deque[Incident] = deque(maxlen=KEPT)
        self._labels = list(dict.fromkeys(run.key.method for run in runs))

    def read(self, occupancy: Occupancy | None) -> Moment:
        dispatch, now = self._dispatch, time.monotonic()
        runs, trained = dispatch.arena.runs, dispatch.trained
        rest, known = self._remaining.read(occupancy), dispatch.arena.curves.cells
        study, unit = dispatch.study, dispatch.study.budget.unit
        return Moment(
            study=study.study,
            metric=study.metric,
            unit=unit.name,
            elapsed=now - self._began,
            left=rest.seconds if rest.epochs else None,
            share=known / (known + rest.epochs) if rest.epochs else 1.0,
            charged=sum(run.ledger.unit.value(run.ledger.committed) for run in runs),
            budget=sum(run.ledger.unit.value(run.ledger.budget) for run in runs),
            stored=self._stored,
            trained=trained,
            rate=rest.rate,
            occupancy=occupancy,
            exams=dispatch.exams,
            tallies=self._tallies(study.mode, () if occupancy is None else occupancy.trials),
            promotions=self._promotions(),
            incidents=tuple(dispatch.incidents.last),
            met=dispatch.incidents.count,
            failed=len(dispatch.arena.curves.failures),
            trouble=dispatch.writer.trouble,
        )

    def _tallies(self, mode: str, trials: Sequence[str]) -> tuple[Tally, ...]:
        arena = self._dispatch.arena
        by_label: dict[str, list[Run]] = {label: [] for label in self._labels}
        for run in self._dispatch.arena.runs:
            by_label[run.key.method].append(run)
        return tuple(
            tally(label, runs, mode, sum(any(arena.wants(run, trial) for run in runs) for trial in trials))
            for label, runs in by_label.items()
        )

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


def tally(label: str, runs: Sequence[Run], mode: str, running: int) -> Tally:
    """Adds up the runs of a method, of whose trials `running` ones are being trained."""
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
        running=running,
        paused=sum(run.states["paused"] for run in runs),
        failed=sum(run.states["failed"] for run in runs),
    )
