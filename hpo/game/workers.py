"""The virtual workers of a run, and which of them the run's clock moves next. Pure; no wall clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hpo.game.curves import Cell, Curves, Failed
from hpo.study.values import Segment, TrialKey


@dataclass(slots=True)
class RunTrial:
    """A trial as one run sees it: the epochs that the run was charged for, and its status."""

    number: int
    key: TrialKey
    status: str = "running"  # running | paused | stopped | completed | failed
    epochs: int = 0
    best_epoch: int = 0
    best_value: float = math.nan  # as the metric gave it
    ended: bool = False  # its training ended itself: no further epoch exists
    reason: str = ""


@dataclass(slots=True)
class Worker:
    """A virtual worker: it has trained `at` epochs of its trial, may train to `granted`, and is asked to train to `stop`.

    It began epoch `origin` + 1 at virtual time `began`; each epoch takes `cost`. `sequence` counts the segments that
    the run started, this one included. `seen`: see Charge.
    """

    trial: RunTrial
    at: int
    granted: int
    stop: int
    began: float
    origin: int
    cost: float
    sequence: int
    seen: int = 0

    @property
    def ends(self) -> float:
        """The virtual time at which its next epoch ends."""
        return self.began + (self.at - self.origin + 1) * self.cost


class Workers:
    """The workers that train now, in the order of the run's clock.

    Under the virtual clock the worker whose next epoch ends first moves first; of equal ones, the one that started
    first. Under the arrival clock any worker whose next epoch is known may move: the one that `script` names for this
    event (order -> (trial id, epoch)), or without a script the one that started first.
    """

    def __init__(self, arrival: bool, script: Mapping[int, tuple[str, int]]) -> None:
        self._arrival = arrival
        self._script = dict(script)
        self._heap: list[tuple[float, int, Worker]] = []  # (end of the next epoch, sequence, worker)
        self._started = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Worker]:
        """The workers, the next one first and the others in no particular order."""
        return (worker for _, _, worker in self._heap)

    @property
    def waiting_for(self) -> tuple[str, int] | None:
        """The cell (trial id, epoch) that must be known before any worker moves; None where there is no such cell."""
        if self._arrival or not self._heap:
            return None
        worker = self._heap[0][2]
        return worker.trial.key.id, worker.at + 1

    def start(self, trial: RunTrial, segment: Segment, granted: int, now: float, cost: float, seen: int = 0) -> None:
        """A worker starts a segment at virtual time `now`; the ledger granted its first `granted` epochs."""
        self._started += 1
        start, stop = segment.start, segment.stop
        self.go_on(Worker(trial, start, start + granted, stop, now, start, cost, self._started, seen))

    def go_on(self, worker: Worker) -> None:
        """A worker trains its next epoch."""
        heapq.heappush(self._heap, (worker.ends, worker.sequence, worker))

    def next_event(self, curves: Curves, order: int) -> tuple[Worker, Cell] | None:
        """Removes the worker that moves next and returns it with its cell; None where that cell is not known yet.

        `order` counts the run's events from 0.
        """
        if self._arrival:
            return self._next_arrival(curves, order)
        worker = self._heap[0][2]
        cell = curves.cell(worker.trial.key.id, worker.at + 1)
        if cell is None:
            return None
        heapq.heappop(self._heap)
        return worker, cell

    def _next_arrival(self, curves: Curves, order: int) -> tuple[Worker, Cell] | None:
        known = [
            (place, worker, cell)
            for place, (_, _, worker) in enumerate(self._heap)
            if (cell := curves.cell(worker.trial.key.id, worker.at + 1)) is not None
        ]
        if self._script:
            wanted = self._script.pop(order, None)
            if wanted is not None:
                known = [k for k in known if (k[1].trial.key.id, k[1].at + 1) == wanted]
            else:  # no charge has this order: the event was a failure
                known = [k for k in known if isinstance(k[2], Failed)]
                known.sort(key=lambda k: curves.failures[k[1].trial.key.id])
        else:
            known.sort(key=lambda k: k[1].sequence)
        if not known:
            return None
        place, worker, cell = known[0]
        self._heap.pop(place)
        heapq.heapify(self._heap)
        return worker, cell
