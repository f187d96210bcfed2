"""One run: a method plays its virtual workers against the table of curves, under its ledger. Pure; no wall clock."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.game.curves import Cell, Curves, Failed
from hpo.game.ledger import EpochLedger
from hpo.methods.protocol import Schedule
from hpo.study.space import Config
from hpo.study.values import Charge, Decision, Incumbent, Outcome, RunKey, Segment, TrialKey

FAILURES_IN_A_ROW = 100  # trials failing before their first epoch cost nothing: without a bound a run would never end


@dataclass(slots=True)
class RunTrial:
    """A trial as one run sees it: what it was charged for and how it stands."""

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
    """A virtual worker at work: it has trained `at` epochs of its trial, may train to `granted`, should to `stop`."""

    trial: RunTrial
    at: int
    granted: int
    stop: int
    began: float
    origin: int
    cost: float
    sequence: int  # workers whose epochs end at the same time: the one that started first goes first

    @property
    def ends(self) -> float:
        """The virtual time at which its next epoch ends."""
        return self.began + (self.at - self.origin + 1) * self.cost


@dataclass(frozen=True, slots=True)
class Demand:
    """A run wants the epochs up to `stop` of a trial; `at` is the virtual time from which it wants them."""

    at: float
    run: RunKey
    key: TrialKey
    stop: int


@dataclass(frozen=True)
class Rules:
    """What the game is, beside the method: budget in epochs, virtual workers, and how trials and epochs count.

    `charge` epochs are charged for each (k folds cost k); `cost` is the virtual time of one epoch of a configuration.
    """

    budget: int
    parallelism: int = 1
    charge: int = 1
    mode: str = "max"
    clock: str = "virtual"
    key: Callable[[Config, int], TrialKey] = field(default=lambda config, r: TrialKey("", config, 0, r))
    cost: Callable[[Config], float] = field(default=lambda config: 1.0)


class Run:
    """A game of one method with one seed.

    `play` goes forward as far as the curves are known; what it needs next stands in `demands`. Everything that it
    decides is a function of (schedule, rules, curves): the order in which the curves became known changes nothing
    under the virtual clock. Under the arrival clock that order decides, `script` repeats a stored one.
    """

    def __init__(
        self, key: RunKey, schedule: Schedule, rules: Rules, script: Mapping[int, tuple[str, int]] | None = None
    ):
        self.key = key
        self.rules = rules
        self.schedule = schedule
        self.ledger = EpochLedger(rules.budget)
        self.trials: list[RunTrial] = []
        self.incumbent: Incumbent | None = None
        self.reason = ""
        self.now = 0.0
        self._sign = 1.0 if rules.mode == "max" else -1.0
        self._busy: list[tuple[float, int, Worker]] = []
        self._started = 0
        self._order = 0
        self._cut: deque[Segment] = deque()
        self._planned: deque[Segment] = deque()
        self._planned_keys: dict[int, TrialKey] = {}
        self._by_id: dict[str, RunTrial] = {}
        self._failures_in_a_row = 0
        self._failed = 0
        self._script = dict(script or {})
        self._over = False

    # -- what is known from outside -------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        return self._over

    @property
    def waiting_for(self) -> tuple[str, int] | None:
        """The cell (trial id, epoch) whose arrival moves the run on; None when it is over or takes any (arrival)."""
        if self._over or not self._busy or self.rules.clock == "arrival":
            return None
        worker = self._busy[0][2]
        return worker.trial.key.id, worker.at + 1

    def demands(self, curves: Curves) -> Iterator[Demand]:
        """What is wanted and not yet known: the segments of the virtual workers, then what is planned ahead."""
        for _, _, worker in self._busy:
            key = worker.trial.key
            known = curves.known(key.id)
            if known < worker.granted and not curves.closed(key.id):
                yield Demand(worker.ends + (known - worker.at) * worker.cost, self.key, key, worker.granted)
        ahead, room = 0, self.ledger.remaining // self.rules.charge
        for segment in self._planned:
            if room <= 0:
                return
            key = self._planned_key(segment)
            stop = min(segment.stop, segment.start + room)
            cost = self.rules.cost(segment.config)
            if curves.known(key.id) < stop and not curves.closed(key.id):
                yield Demand(self.now + (1 + ahead / self.rules.parallelism) * cost, self.key, key, stop)
            ahead += stop - segment.start
            room -= stop - segment.start

    def resumable(self, trial: str) -> bool:
        """Whether the run may still want epochs of the trial beyond those it was charged for."""
        mine = self._by_id.get(trial)
        if self._over:
            return False
        return mine is not None and not mine.ended and mine.status in ("running", "paused")

    def outcome(self) -> Outcome:
        return Outcome(
            run=self.key,
            status="complete" if self._over else "partial",
            committed=self.ledger.committed,
            budget=self.ledger.budget,
            trials=len(self.trials),
            failed_trials=self._failed,
            incumbent=self.incumbent,
            reason=self.reason,
        )

    # -- the game -------------------------------------------------------------------------------------------------

    def play(self, curves: Curves, ahead: int = 0) -> list[Charge]:
        """Goes on as far as the curves reach; returns the new charges in the order of the clock.

        `ahead`: how many segments of an oblivious method to plan beyond its virtual workers.
        """
        charges: list[Charge] = []
        if not self._over:
            self._fill()
            while self._busy:
                found = self._next_event(curves)
                if found is None:
                    break
                self._step(*found, charges)
                self._fill()
            if not self._busy and not self._over:
                self._end()
            self._plan(ahead)
        return charges

    def _next_event(self, curves: Curves) -> tuple[Worker, Cell] | None:
        if self.rules.clock == "arrival":
            return self._next_arrival(curves)
        _, _, worker = self._busy[0]
        cell = curves.cell(worker.trial.key.id, worker.at + 1)
        if cell is None:
            return None
        heapq.heappop(self._busy)
        return worker, cell

    def _next_arrival(self, curves: Curves) -> tuple[Worker, Cell] | None:
        """The next event under the arrival clock: what the script says, else the first worker whose cell is known."""
        known = [
            (place, worker, cell)
            for place, (_, _, worker) in enumerate(self._busy)
            if (cell := curves.cell(worker.trial.key.id, worker.at + 1)) is not None
        ]
        if self._script:
            wanted = self._script.pop(self._order, None)
            if wanted is not None:
                known = [k for k in known if (k[1].trial.key.id, k[1].at + 1) == wanted]
            else:  # an order without a charge: a failure took it
                known = [k for k in known if isinstance(k[2], Failed)]
                known.sort(key=lambda k: curves.failures[k[1].trial.key.id])
        else:
            known.sort(key=lambda k: self._busy[k[0]][1])
        if not known:
            return None
        place, worker, cell = known[0]
        self._busy.pop(place)
        heapq.heapify(self._busy)
        return worker, cell

    def _step(self, worker: Worker, cell: Cell, charges: list[Charge]) -> None:
        self.now = max(self.now, worker.ends)
        order, self._order = self._order, self._order + 1
        if isinstance(cell, Failed):
            self._fail(worker, cell.reason)
            return
        charge = self._charge(worker, cell.value, order)
        charges.append(charge)
        if not math.isfinite(cell.value):
            self._fail(worker, f"the metric is {cell.value} at epoch {worker.at}")
            return
        self._failures_in_a_row = 0
        decision = self.schedule.on_epoch(worker.trial.number, worker.at, self._sign * cell.value)
        if cell.ended:
            worker.trial.ended = True
            if decision is Decision.CONTINUE and worker.at < worker.stop:
                decision = self._flat(worker.trial, worker.at, worker.stop)
        elif decision is Decision.CONTINUE and worker.at < worker.stop:
            self._go_on(worker)
            return
        self._release(worker, decision)

    def _charge(self, worker: Worker, value: float, order: int) -> Charge:
        trial, at = worker.trial, worker.ends
        worker.at += 1
        trial.epochs = worker.at
        self.ledger.commit(self.rules.charge)
        if math.isfinite(value):
            if not self._sign * value <= self._sign * trial.best_value:
                trial.best_epoch, trial.best_value = worker.at, value
            if self.incumbent is None or self._sign * value > self._sign * self.incumbent.value:
                self.incumbent = Incumbent(trial.key.id, trial.number, trial.key.config, worker.at, value)
        return Charge(self.key, order, trial.key.id, trial.number, worker.at, at, value)

    def _go_on(self, worker: Worker) -> None:
        """Trains on within the segment; where the ledger cut it, asks for more, else puts it aside."""
        if worker.at == worker.granted:
            worker.granted += self._reserve(worker.stop - worker.at)
        if worker.at < worker.granted:
            self._push(worker)
        else:
            trial = worker.trial
            trial.status = "paused"
            self._cut.append(Segment(trial.number, trial.key.config, worker.at, worker.stop))

    def _flat(self, trial: RunTrial, start: int, stop: int) -> Decision:
        """Training ended itself: with its best weights restored, later epochs are its best one again, at no cost."""
        decision = Decision.CONTINUE
        for epoch in range(start + 1, stop + 1):
            decision = self.schedule.on_epoch(trial.number, epoch, self._sign * trial.best_value)
            if decision is not Decision.CONTINUE:
                break
        return decision

    def _release(self, worker: Worker, decision: Decision) -> None:
        left = worker.granted - worker.at
        if left > 0:
            self.ledger.refund(left * self.rules.charge)
        if worker.trial.ended or worker.at >= self.schedule.max_epochs:
            worker.trial.status = "completed"
        else:
            worker.trial.status = "stopped" if decision is Decision.STOP else "paused"

    def _fail(self, worker: Worker, reason: str) -> None:
        self._release(worker, Decision.STOP)
        worker.trial.status, worker.trial.reason = "failed", reason
        self._failed += 1
        self._failures_in_a_row = self._failures_in_a_row + 1 if worker.at == 0 else 0
        self.schedule.on_failure(worker.trial.number, worker.at)

    # -- new work -------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while len(self._busy) < self.rules.parallelism and self.ledger.remaining >= self.rules.charge:
            if self._failures_in_a_row >= FAILURES_IN_A_ROW:
                return
            segment = self._next_segment()
            if segment is None:
                return
            self._start(segment)

    def _next_segment(self) -> Segment | None:
        if self._cut:
            return self._cut.popleft()
        if self._planned:
            return self._planned.popleft()
        return self.schedule.next_segment()

    def _plan(self, ahead: int) -> None:
        """Asks an oblivious method for its next segments early: no result can change them."""
        if not self.schedule.oblivious:
            return
        room = self.ledger.remaining // self.rules.charge - sum(s.stop - s.start for s in self._planned)
        while len(self._planned) < ahead and room > 0:
            segment = self.schedule.next_segment()
            if segment is None:
                return
            self._planned.append(segment)
            room -= segment.stop - segment.start

    def _planned_key(self, segment: Segment) -> TrialKey:
        if segment.trial not in self._planned_keys:
            self._planned_keys[segment.trial] = self.rules.key(segment.config, self.schedule.max_epochs)
        return self._planned_keys[segment.trial]

    def _start(self, segment: Segment) -> None:
        if segment.trial == len(self.trials):
            self._create(segment)
        trial = self.trials[segment.trial]
        if trial.ended:
            self._flat(trial, segment.start, segment.stop)
            return
        if trial.epochs != segment.start:
            raise AssertionError(f"trial {segment.trial} of {self.key} is at epoch {trial.epochs}, not {segment.start}")
        granted = self._reserve(segment.stop - segment.start)
        trial.status = "running"
        cost = self.rules.cost(segment.config)
        self._started += 1
        start, stop = segment.start, segment.stop
        self._push(Worker(trial, start, start + granted, stop, self.now, start, cost, self._started))

    def _create(self, segment: Segment) -> None:
        key = self._planned_key(segment)
        self._planned_keys.pop(segment.trial)
        trial = RunTrial(segment.trial, key)
        self.trials.append(trial)
        self._by_id[key.id] = trial

    def _push(self, worker: Worker) -> None:
        heapq.heappush(self._busy, (worker.ends, worker.sequence, worker))

    def _reserve(self, epochs: int) -> int:
        return self.ledger.reserve(epochs * self.rules.charge, self.rules.charge) // self.rules.charge

    def _end(self) -> None:
        self._over = True
        left = self.ledger.budget - self.ledger.committed
        if left == 0:
            return
        if self._failures_in_a_row >= FAILURES_IN_A_ROW:
            last = next(t.reason for t in reversed(self.trials) if t.status == "failed")
            self.reason = f"{FAILURES_IN_A_ROW} trials in a row failed before their first epoch; the last: {last}"
        elif left < self.rules.charge:
            self.reason = (
                f"{left} epochs are left, and an epoch of {self.rules.charge} folds is charged {self.rules.charge}"
            )
        else:
            self.reason = f"the method has no configuration left to train; {left} epochs were not needed"


def replayed(charges: Sequence[Charge]) -> dict[int, tuple[str, int]]:
    """The script of a run under the arrival clock from its stored charges: order -> (trial id, epoch)."""
    return {charge.order: (charge.trial, charge.epoch) for charge in charges}
