"""One run: a method plays against the table of curves with its virtual workers and its ledger. Pure; no wall clock."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hpo.game.curves import Cell, Curves, Failed
from hpo.game.demands import Changes, Demand
from hpo.game.ending import FAILURES_IN_A_ROW, left_over, outcome_of
from hpo.game.ledger import Ledger
from hpo.game.rules import Rules
from hpo.game.script import Script
from hpo.game.segments import SegmentQueue
from hpo.game.wishes import Wishes
from hpo.game.workers import RunTrial, States, Worker, Workers
from hpo.methods.protocol import Remote, Schedule
from hpo.study.values import Charge, Decision, Incumbent, Outcome, RunFailure, RunKey, Segment, TrialKey

__all__ = ["Rules", "Run"]


class Run:
    """The game of one method with one seed.

    `play` advances as far as the curves are known; `demands` lists what the run needs next. Every decision is a
    function of (schedule, rules, curves). Under the virtual clock the order in which the curves became known changes
    nothing; under the arrival clock that order decides, and `script` repeats a stored one.

    `failures`: the failed trials as the run met them. `states` counts its trials by status.
    """

    def __init__(self, key: RunKey, schedule: Schedule, rules: Rules, script: Script | None = None):
        self.key = key
        self.rules = rules
        self.schedule = schedule
        self.ledger = Ledger(rules.budget, rules.unit)
        self.trials: list[RunTrial] = []
        self.states = States()
        self.failures: list[RunFailure] = []
        self.incumbent: Incumbent | None = None
        self.charged_epochs = 0  # k for each trained one with k folds
        self.reason = ""
        self.now = 0.0
        self._sign = 1.0 if rules.mode == "max" else -1.0
        self._workers = Workers(rules.clock == "arrival", script or Script(key, {}))
        self._queue = SegmentQueue(schedule, rules.key, rules.amount)
        self._wishes = Wishes(key)
        self._order = 0
        self._by_id: dict[str, RunTrial] = {}
        self._failures_in_a_row = 0
        self._over = False

    def follow(self, script: Script) -> None:
        """Makes the run meet these stored events before any other. Call it before the first `play`."""
        self._workers.script = script

    # -- what others see ----------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        return self._over

    @property
    def waiting_for(self) -> tuple[str, int] | None:
        """The cell (trial id, epoch) that the run cannot go on without; None when it is over, or takes any (arrival)."""
        return self._workers.waiting_for

    def demands(self, curves: Curves) -> Iterator[Demand]:
        """What the run wants and the curves lack: the virtual workers' segments, then the planned ones."""
        if self._over:
            return
        for worker in self._workers:
            key = worker.trial.key
            known = curves.known(key.id)
            if known < worker.granted and not curves.closed(key.id):
                yield Demand(worker.ends + (known - worker.at) * worker.cost, self.key, key, worker.granted)
        ahead = 0
        for key, segment in self._queue.planned(self._room):
            if curves.known(key.id) < segment.stop and not curves.closed(key.id):
                yield self._planned(key, segment, ahead)
            ahead += segment.stop - segment.start

    def changes(self, curves: Curves) -> Changes:
        """Returns what the run wants otherwise than at the last call. Demands that the curves meet may be among them."""
        if self._over:
            return Changes({}, whole=True)
        if self._wishes.must_be_whole(self._queue.resumes or self._queue.amount > self._room):
            return self._wishes.whole(self.demands(curves))
        return self._wishes.more(self._planned(*fresh) for fresh in self._queue.fresh())

    def _planned(self, key: TrialKey, segment: Segment, ahead: int) -> Demand:
        """Returns the demand of a planned segment with `ahead` planned epochs before it."""
        at = self.now + (1 + ahead / self.rules.parallelism) * self.rules.cost(segment.config)
        return Demand(at, self.key, key, segment.stop)

    @property
    def unpaid(self) -> int | None:
        """What the cheapest epoch costs of those that the method asked for and the ledger could not grant."""
        return self._queue.cheapest

    def resumable(self, trial: str) -> bool:
        """Whether the run may still want epochs of the trial beyond those it was charged for."""
        mine = self._by_id.get(trial)
        return not self._over and mine is not None and mine.status in ("running", "paused")

    def outcome(self) -> Outcome:
        """How the run ended, or where it stands."""
        return outcome_of(self)

    # -- the game -----------------------------------------------------------------------------------------------------

    def play(self, curves: Curves, ahead: int = 0) -> list[Charge]:
        """Advances as far as the curves reach; returns the new charges in the order of the clock.

        `ahead`: how many segments of an oblivious method to plan beyond those of its virtual workers.
        Raises OtherDecision where it would decide otherwise than its script says.
        """
        charges: list[Charge] = []
        if not self._over:
            self._fill()
            while self._workers:
                event = self._workers.next_event(curves, self._order)
                if event is None:
                    break
                self._step(*event, charges)
                self._fill()
            if not self._workers:
                self._workers.script.check_end(self._order, getattr(self.schedule, "broken", ""))
                self._end()
            self._queue.plan(ahead, self._room)
        return charges

    def _step(self, worker: Worker, cell: Cell, charges: list[Charge]) -> None:
        self.now = max(self.now, worker.ends)
        order, self._order = self._order, self._order + 1
        if isinstance(cell, Failed):
            self.failures.append(RunFailure(self.key, order, worker.trial.key.id, worker.trial.number, worker.at))
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
            if decision is Decision.CONTINUE:
                decision = self._flat(worker.trial, worker.at, worker.stop)
        elif decision is Decision.CONTINUE and worker.at < worker.stop:
            self._go_on(worker)
            return
        self._release(worker, decision)

    def _charge(self, worker: Worker, value: float, order: int) -> Charge:
        trial, at = worker.trial, worker.ends
        worker.at += 1
        trial.epochs = worker.at
        self.ledger.commit(worker.price)
        self.charged_epochs += self.rules.charge
        if math.isfinite(value):
            if not self._sign * value <= self._sign * trial.best_value:
                trial.best_epoch, trial.best_value = worker.at, value
            if self.incumbent is None or self._sign * value > self._sign * self.incumbent.value:
                self.incumbent = Incumbent(trial.key.id, trial.number, trial.key.config, worker.at, value)
        return Charge(self.key, order, trial.key.id, trial.number, worker.at, at, value, worker.seen, trial.cost)

    def _go_on(self, worker: Worker) -> None:
        """Trains the next epoch of the segment. If the grant is used up, reserves more, or puts the segment back."""
        if worker.at == worker.granted:
            worker.granted += self._reserve(worker.stop - worker.at, worker.price)
            self._wishes.want(worker)
        if worker.at < worker.granted:
            self._workers.go_on(worker)
        else:
            self._wishes.drop(worker)
            self.states.move(worker.trial, "paused")
            self._queue.put_back(Segment(worker.trial.number, worker.trial.key.config, worker.at, worker.stop))

    def _flat(self, trial: RunTrial, start: int, stop: int) -> Decision:
        """Tells the schedule of the epochs start+1 .. stop of a trial whose training ended itself, at no charge.

        Training restores its best weights when it ends, so each of these epochs has the trial's best value.
        """
        decision = Decision.CONTINUE
        for epoch in range(start + 1, stop + 1):
            decision = self.schedule.on_epoch(trial.number, epoch, self._sign * trial.best_value)
            if decision is not Decision.CONTINUE:
                break
        return decision

    def _release(self, worker: Worker, decision: Decision) -> None:
        """Refunds what is left of the worker's grant and sets its trial's status; the worker is free."""
        self._wishes.drop(worker)
        self.ledger.refund((worker.granted - worker.at) * worker.price)
        if worker.trial.ended or worker.at >= self.schedule.max_epochs:
            self.states.move(worker.trial, "completed")
        else:
            self.states.move(worker.trial, "stopped" if decision is Decision.STOP else "paused")

    def _fail(self, worker: Worker, reason: str) -> None:
        self._release(worker, Decision.STOP)
        self.states.move(worker.trial, "failed")
        worker.trial.reason = reason
        self._failures_in_a_row = self._failures_in_a_row + 1 if worker.at == 0 else 0
        self.schedule.on_failure(worker.trial.number, worker.at)

    # -- new work -----------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Starts segments. Where nothing runs, what is left will not grow, and what it cannot pay is given up.

        The schedule learns of it as of a failure, so that it need not wait and may have something cheaper.
        """
        self._start_all()
        while not self._workers and self._room > 0 and (unpaid := self._queue.drop()):
            for segment in unpaid:
                self.schedule.on_failure(segment.trial, segment.start)
            self._start_all()

    def _start_all(self) -> None:
        """Starts segments until all virtual workers are busy, or the budget, the method or its luck has run out."""
        while len(self._workers) < self.rules.parallelism and self._room > 0:
            if self._failures_in_a_row >= FAILURES_IN_A_ROW:
                return
            segment = self._queue.take(self.ledger.remaining)
            if segment is None:
                return
            self._start(segment)

    def _start(self, segment: Segment) -> None:
        if segment.trial == len(self.trials):
            self._create(segment)
        trial = self.trials[segment.trial]
        if trial.ended:
            self._flat(trial, segment.start, segment.stop)
            return
        if trial.epochs != segment.start:
            raise AssertionError(f"trial {segment.trial} of {self.key} is at epoch {trial.epochs}, not {segment.start}")
        granted = self._reserve(segment.stop - segment.start, price := self.rules.amount(segment.config))
        if not granted:  # another one may be cheaper
            self.states.move(trial, "paused")
            self._queue.put_back(segment)
            self._wishes.forget()
            return
        self.states.move(trial, "running")
        known = self.schedule.oblivious and segment.start == 0  # from the beginning: no result can change it
        seen = 0 if known else self._order
        cost = self.rules.cost(segment.config)
        self._wishes.want(self._workers.start(trial, segment, granted, self.now, cost, seen, price))

    def _create(self, segment: Segment) -> None:
        key = self._queue.take_key(segment)
        trial = RunTrial(segment.trial, key, cost=self.rules.declared(key.config))
        self.trials.append(trial)
        self.states[trial.status] += 1
        self._wishes.entangled |= key.id in self._by_id  # the space is exhausted, and a configuration comes again
        self._by_id[key.id] = trial

    @property
    def _room(self) -> int:
        """How much the ledger can still grant, if every epoch is charged the least."""
        return self.ledger.remaining // self.rules.least * self.rules.least

    def _reserve(self, epochs: int, price: int) -> int:
        return self.ledger.reserve(epochs * price, price) // price

    def _end(self) -> None:
        self._over = True
        self.reason = left_over(self, luckless=self._failures_in_a_row >= FAILURES_IN_A_ROW)
        if isinstance(self.schedule, Remote):
            self.schedule.end()


def ahead(run: Run, curves: Curves) -> int:
    """Counts the epochs that are known and that the run will be charged for: its virtual workers' and planned ones."""
    return 0 if run.done else run._workers.ahead(curves) + run._queue.ahead(curves)
