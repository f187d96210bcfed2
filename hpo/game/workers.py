"""The virtual workers of a run, and which of them the run's clock moves next. Pure; no wall clock."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hpo.game.curves import Cell, Curves, Failed
from hpo.game.script import Event, Script
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
    cost: int | None = None  # of an epoch in millionths, where it is declared


class States(Counter[str]):
    """The number of a run's trials in each status. `resumed`: the paused trial that went on last; `resumptions` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed: RunTrial | None = None
        self.resumptions = 0

    def move(self, trial: RunTrial, status: str) -> None:
        """Gives a trial another status."""
        if status == "running" and trial.status == "paused":
            self.resumed, self.resumptions = trial, self.resumptions + 1
        self[trial.status] -= 1
        self[status] += 1
        trial.status = status


@dataclass(slots=True)
class Worker:
    """A virtual worker: it has trained `at` epochs of its trial, may train to `granted`, and is asked to train to `stop`.

    It began epoch `origin` + 1 at virtual time `began`; each epoch takes `cost`, and the ledger is charged `price`.
    `sequence` counts the segments that the run started, this one included. `seen`: see Charge.
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
    price: int = 1

    @property
    def ends(self) -> float:
        """The virtual time at which its next epoch ends."""
        return self.began + (self.at - self.origin + 1) * self.cost


class Workers:
    """The workers that train now, in the order of the run's clock.

    Under the virtual clock the worker whose next epoch ends first moves first; of equal ones, the one that started
    first. Under the arrival clock any worker whose next epoch is known may move: the one that `script` names for this
    event, or beyond the script the one that started first. Under either clock an event must be the script's.
    """

    def __init__(self, arrival: bool, script: Script) -> None:
        self.script = script
        self._arrival = arrival
        self._heap: list[tuple[float, int, Worker]] = []  # (end of the next epoch, sequence, worker)
        self._started = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Worker]:
        """The workers, the next one first and the others in no particular order."""
        return (worker for _, _, worker in self._heap)

    def ahead(self, curves: Curves) -> int:
        """Counts the epochs of the workers' grants that are known already."""
        return sum(max(0, min(curves.known(w.trial.key.id), w.granted) - w.at) for w in self)

    @property
    def waiting_for(self) -> tuple[str, int] | None:
        """The cell (trial id, epoch) that must be known before any worker moves; None where there is no such cell."""
        first = self._heap[:1]  # one step, since another thread may play this run meanwhile
        if self._arrival or not first:
            return None
        worker = first[0][2]
        return worker.trial.key.id, worker.at + 1

    def start(
        self, trial: RunTrial, segment: Segment, granted: int, now: float, cost: float, seen: int = 0, price: int = 1
    ) -> Worker:
        """Starts a worker on a segment at virtual time `now`; the ledger granted its first `granted` epochs."""
        self._started += 1
        start, stop = segment.start, segment.stop
        worker = Worker(trial, start, start + granted, stop, now, start, cost, self._started, seen, price)
        self.go_on(worker)
        return worker

    def go_on(self, worker: Worker) -> None:
        """A worker trains its next epoch."""
        heapq.heappush(self._heap, (worker.ends, worker.sequence, worker))

    def next_event(self, curves: Curves, order: int) -> tuple[Worker, Cell] | None:
        """Removes the worker that moves next and returns it with its cell; None where that cell is not known yet.

        `order` counts the run's events from 0. Raises OtherDecision where the script has another event.
        """
        place = self._next_arrival(curves, order) if self._arrival else 0
        if place is None:
            return None
        worker = self._heap[place][2]
        cell = _cell(curves, worker)
        if cell is None:
            self.script.check_awaited(order, _event(worker))
            return None
        self.script.check(order, _event(worker, isinstance(cell, Failed)))
        if place:
            self._heap.pop(place)
            heapq.heapify(self._heap)
        else:
            heapq.heappop(self._heap)
        return worker, cell

    def _next_arrival(self, curves: Curves, order: int) -> int | None:
        """Returns the place of the worker that moves next, whose cell may have to be awaited; None where any may come."""
        workers = [worker for _, _, worker in self._heap]
        wanted = self.script.wanted(order)
        if wanted is not None:
            for place, worker in enumerate(workers):
                if (worker.trial.number, worker.at + 1) == (wanted.number, wanted.epoch):
                    return place
            raise self.script.other(order, f"one of {', '.join(str(_event(worker)) for worker in workers)}")
        known = {place: cell for place, worker in enumerate(workers) if (cell := _cell(curves, worker)) is not None}
        if order < self.script.end:  # a store of an earlier version: the event was a failure
            everything = len(known) == len(workers)
            known = {place: cell for place, cell in known.items() if isinstance(cell, Failed)}
            if everything and not known:
                raise self.script.other(order, f"one of {', '.join(str(_event(worker)) for worker in workers)}")
            late = len(curves.failures)
            return min(known, key=lambda p: curves.failures.get(workers[p].trial.key.id, late), default=None)
        return min(known, key=lambda p: workers[p].sequence, default=None)


def _cell(curves: Curves, worker: Worker) -> Cell | None:
    return curves.cell(worker.trial.key.id, worker.at + 1)


def _event(worker: Worker, failed: bool = False) -> Event:
    return Event(worker.trial.number, worker.trial.key.id, worker.at + 1, failed)
