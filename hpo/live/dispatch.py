"""What the slots of a cluster do next: the arena's demands as assignments, their reports back into arena and store.

No ray in here: the driver hands assignments to Tune and reports back; tests hand them to a plain `Training`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from hpo.errors import StudyFailed
from hpo.game.arena import Arena
from hpo.game.curves import Curves
from hpo.game.run import Demand, Run
from hpo.live.tidying import Tidying
from hpo.live.tracking import Tracking
from hpo.store import StudyData, StudyWriter, layout
from hpo.store import rows as standings
from hpo.store.effort import Effort
from hpo.store.recover import recorded
from hpo.study.study import Study
from hpo.study.values import Charge, EpochRecord, Failure, TrialKey, digest
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Assignment, Report

SNAPSHOT_SECONDS = 5.0
SNAPSHOT_SHARE = 0.02  # of the driver's time: a snapshot takes the longer the more trials there are
MOST_AT_A_TIME = 16  # assignments for a slot
GB = 10**9


@dataclass(frozen=True)
class Exam:
    """A winner's final exam: train it to `epoch` as `task` says, then test it once."""

    trial: str  # the winner
    name: str
    key: TrialKey
    task: Mapping[str, Any]
    epoch: int


class Dispatch:
    """One study on its way. All calls come from one thread; expensive methods think in threads of their own."""

    def __init__(
        self,
        study: Study,
        runs: list[Run],
        writer: StudyWriter,
        checkpoints: str,
        ahead: int,
        tracking: Tracking | None = None,
    ) -> None:
        self.study = study
        self.writer = writer
        self.curves = Curves()
        self.effort = Effort()
        self.failures: dict[str, str] = {}
        self.live: dict[str, Assignment] = {}
        self.busy = 0  # slots that have something to do; told by the driver
        self.exams: list[Exam] = []
        self._provenance: dict[str, list[str]] = {}
        self._place = checkpoints
        self._tracking = tracking or Tracking()
        self._tidying = Tidying(Checkpoints(checkpoints), study.checkpoints_gb * GB, lambda: list(self.live))
        self._task = study.located()
        self._attempts: dict[tuple[str, int], int] = {}
        self._charged = {(row["run"], row["order"]) for row in writer.stored.charges.to_pylist()}
        self._retried: set[str] = set()  # trials that ran out of memory once, to be tried once more, alone
        self._thinking: dict[int, tuple[Run, Future[list[Charge]]]] = {}
        self._moved: dict[int, Run] = {}
        self._thinkers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="method")
        self._taken: set[str] = set()
        self._snapshot_due = 0.0
        self._recover(writer.stored)
        self.arena = Arena(runs, self.curves, ahead)
        for run in runs:
            self._play(run)

    def _recover(self, stored: StudyData) -> None:
        recorded(self.curves, stored, self.study.metric)
        for row in stored.epochs.select(["trial", "epoch", "seconds", "attempt"]).to_pylist():
            self.effort.add(row["trial"], row["epoch"], row["seconds"], row["attempt"])
            cell = (row["trial"], row["epoch"])
            self._attempts[cell] = max(self._attempts.get(cell, 0), row["attempt"])
        self.failures = {row["trial"]: row["kind"] for row in stored.failures.to_pylist()}

    # -- out: what to do ------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether every run is over and every exam taken."""
        self._collect()
        return self.arena.done and not self.live and self._next_exam() is None

    def next(self) -> Assignment | None:
        """The most urgent thing that no slot does yet; None when there is nothing to do right now."""
        self._collect()
        if any(trial in self._retried for trial in self.live):
            return None  # a trial that ran out of memory has the machine to itself
        demand = self._next_demand()
        if demand is not None:
            return self._begin(demand.key.id, self._assignment(demand))
        exam = self._next_exam()
        return None if exam is None else self._begin(exam.key.id, self._examination(exam))

    def batch(self, seconds: float, others: int) -> list[Assignment]:
        """What one slot should do next: one thing, or some that are expected to take so long together.

        There is more than one only where the `others`, slots that are free too, are left enough to do.
        """
        first = self.next()
        if first is None:
            return []
        given, pace = [first], self.effort.pace
        if first.exam or first.alone or pace is None:
            return given
        expected = (first.stop - first.known) * pace
        waiting = [d for d in self.arena.demands(self.live) if d.key.id not in self._retried]
        for demand in waiting[others:]:
            assignment = self._assignment(demand)
            expected += (assignment.stop - assignment.known) * pace
            if expected > seconds or len(given) == MOST_AT_A_TIME:
                break
            given.append(self._begin(assignment.trial, assignment))
        return given

    def think(self, seconds: float) -> None:
        """Waits for the methods that are thinking: called when no slot has anything to do."""
        wait([future for _, future in self._thinking.values()], timeout=seconds)
        self._collect()

    @property
    def waiting(self) -> bool:
        return bool(self._thinking)

    def _next_demand(self) -> Demand | None:
        for demand in self.arena.demands(self.live):
            if demand.key.id not in self._retried or not self.live:
                return demand
        return None

    def _begin(self, trial: str, assignment: Assignment) -> Assignment:
        self.live[trial] = assignment
        self._tidying.keep(trial)
        return assignment

    def _assignment(self, demand: Demand) -> Assignment:
        key = demand.key
        return Assignment(
            trial=key.id,
            config=dict(key.config),
            task=self._task,
            seed=key.seed,
            max_epochs=key.max_epochs,
            stop=demand.stop,
            known=self.curves.known(key.id),
            checkpoints=self._place,
            packed=self.study.resources.packed,
            alone=key.id in self._retried,
        )

    # -- in: what came of it --------------------------------------------------------------------------------------

    def report(self, assignment: Assignment, report: Report, worker: str) -> None:
        """Takes a worker's report: epochs into the store, then into the arena; whatever moves is played."""
        key = self._key_of(assignment)
        if assignment.exam:
            self._exam_report(assignment, key, report)
        else:
            self._note(report.provenance)
            for row in report.records:
                self._epoch(key, row, worker)
            if report.failure is not None and self._once_more(assignment, report.failure):
                return
            if report.failure is not None:
                self._failure(assignment, report.failure)
        if report.done:
            self.live.pop(key.id, None)
            self._retried.discard(key.id)
            self._tidy(key.id)
        self._snapshot()

    def lost(self, assignment: Assignment, reason: str) -> None:
        """The worker of an assignment died more often than is allowed."""
        self.report(assignment, Report(failure={"epoch": None, "kind": "lost", "reason": reason}, done=True), "")

    def _key_of(self, assignment: Assignment) -> TrialKey:
        if assignment.exam:
            return next(exam.key for exam in self.exams if exam.key.id == assignment.trial)
        return self.study.key(assignment.config, assignment.seed, assignment.max_epochs)

    def _epoch(self, key: TrialKey, row: Mapping[str, Any], worker: str) -> None:
        epoch, again = int(row["epoch"]), int(row["epoch"]) <= self.curves.known(key.id)
        if again and row.get("recovered"):
            return  # read from a checkpoint, not trained again
        cell = (key.id, epoch)
        attempt = self._attempts.get(cell, 0) + 1 if again else 0
        self._attempts[cell] = attempt
        metrics = row["metrics"]
        if self.study.metric not in metrics:
            have = ", ".join(sorted(metrics))
            raise StudyFailed(
                f"the trainable must report the study's metric {self.study.metric!r}, but it reports {have}"
            )
        record = EpochRecord(key.id, epoch, metrics, float(row["seconds"]), attempt, worker, bool(row["ended"]))
        self.writer.epoch(key, record)
        self.effort.add(key.id, epoch, record.seconds, attempt)
        if not again:
            self._tracking.epoch(key, record)
            self._play_all(self.arena.add(key.id, epoch, metrics[self.study.metric], record.ended))

    def _note(self, provenance: Mapping[str, str]) -> None:
        """What a worker trains on: usually the same everywhere, and to be seen where it is not."""
        for name, value in provenance.items():
            if value not in (seen := self._provenance.setdefault(name, [])):
                seen.append(value)

    def _failure(self, assignment: Assignment, failure: Mapping[str, Any]) -> None:
        trial, kind = assignment.trial, failure["kind"]
        if kind == "data":
            raise StudyFailed(f"the study's data cannot be used: {failure['reason']}")
        self.failures[trial] = kind
        self.writer.failure(Failure(trial, self.curves.known(trial), failure["reason"], kind))
        self._play_all(self.arena.fail(trial, failure["reason"]))

    def _once_more(self, assignment: Assignment, failure: Mapping[str, Any]) -> bool:
        """A trial that ran out of memory is tried once more, alone, before it counts as infeasible."""
        if failure["kind"] != "memory" or assignment.trial in self._retried:
            return False
        self._retried.add(assignment.trial)
        self.live.pop(assignment.trial, None)
        return True

    def _tidy(self, trial: str) -> None:
        """A checkpoint that no run can want any more goes at once."""
        if trial not in self.live and not self.arena.resumable(trial):
            self._tidying.drop(trial)

    # -- the game -------------------------------------------------------------------------------------------------

    def _play_all(self, runs: list[Run]) -> None:
        for run in runs:
            self._play(run)

    def _play(self, run: Run) -> None:
        """Plays a run: at once, or in a thread where its method takes its time; runs are independent of each other."""
        if id(run) in self._thinking:
            self._moved[id(run)] = run
        elif run.schedule.expensive:
            self._thinking[id(run)] = (run, self._thinkers.submit(self.arena.play_run, run))
        else:
            self._store(self.arena.play_run(run))

    def _collect(self) -> None:
        for name, (run, future) in list(self._thinking.items()):
            if future.done():
                del self._thinking[name]
                self._store(future.result())
                if self._moved.pop(name, None) is not None:
                    self._play(run)

    def _store(self, charges: list[Charge]) -> None:
        for charge in charges:
            new = (str(charge.run), charge.order) not in self._charged
            if new:
                self.writer.charge(charge)
            self._tracking.charge(charge, new=new)

    # -- exams ----------------------------------------------------------------------------------------------------

    def _next_exam(self) -> Exam | None:
        if not self.arena.done or self._thinking:
            return None
        if not self.exams:
            self.exams = list(self._all_exams())
        stored = {(row["trial"], row["exam"], row["epoch"]) for row in self.writer.stored.exams.to_pylist()}
        return next(
            (
                exam
                for exam in self.exams
                if (exam.trial, exam.name, exam.epoch) not in stored
                and exam.key.id not in self._taken
                and exam.key.id not in self.live
            ),
            None,
        )

    def _all_exams(self) -> Iterator[Exam]:
        """One exam for each distinct winner: a trial and how long it is trained; `final` says how."""
        final = self.study.final
        winners: dict[tuple[str, int], TrialKey] = {}
        for run in self.arena.runs:
            if (best := run.incumbent) is not None:
                epoch = best.epoch if final.retrain == "none" else final.epochs or best.epoch
                winners.setdefault((best.trial, epoch), run.trials[best.number].key)
        for (trial, epoch), key in winners.items():
            if final.retrain == "none":
                names = {"winner": key.seed}
            else:
                names = {f"retrain/{s}": 10_000 * (key.seed + 1) + s for s in range(final.seeds)}
            for name, seed in names.items():
                task = {**self._task, "train_on": "full"} if final.retrain == "full" else self._task
                own = TrialKey(digest([key.task, "exam", name, epoch]), key.config, seed, max(key.max_epochs, epoch))
                yield Exam(trial, name, own, task, epoch)

    def _examination(self, exam: Exam) -> Assignment:
        key = exam.key
        return Assignment(
            trial=key.id,
            config=dict(key.config),
            task=exam.task,
            seed=key.seed,
            max_epochs=key.max_epochs,
            stop=exam.epoch,
            known=0,
            checkpoints=layout.winners(self._place, exam.name),
            resumable=False,
            exam=True,
            packed=self.study.resources.packed,
            kept_as=exam.trial,
        )

    def _exam_report(self, assignment: Assignment, key: TrialKey, report: Report) -> None:
        exam = next(e for e in self.exams if e.key.id == key.id)
        if report.done:
            self._taken.add(key.id)
        if report.test is not None:
            row = {"trial": exam.trial, "exam": exam.name, "seed": key.seed, "epoch": exam.epoch}
            self.writer.exam({**row, **report.test})

    # -- the store's snapshots ------------------------------------------------------------------------------------

    def _snapshot(self) -> None:
        if time.monotonic() > self._snapshot_due:
            self.snapshot()

    def snapshot(self) -> None:
        """Writes how all runs stand. Runs that are thinking are shown as they were: they are not to be read meanwhile."""
        began = time.monotonic()
        self._snapshot_due = began + SNAPSHOT_SECONDS
        if self._thinking:
            return
        study, runs = self.study, self.arena.runs
        methods = {method.label: method for method in study.methods}
        self.writer.snapshot(
            standings.trial_rows(study.study, runs, study.kinds, self.failures),
            standings.run_rows(study.study, runs, methods, self.effort),
        )
        ended = time.monotonic()
        self._snapshot_due = ended + max(SNAPSHOT_SECONDS, (ended - began) / SNAPSHOT_SHARE)

    def finish(self, complete: bool) -> None:
        """Hands everything over to the store and closes it; a complete study leaves no checkpoint behind."""
        self._thinkers.shutdown(wait=True)
        self._collect()
        self.snapshot()
        self.writer.flush()
        self.writer.note(self._provenance)
        self._tidying.finish(everything=complete)
        self._tracking.close()
        self.writer.close(compact=complete)


Observer = Callable[[Dispatch], None]
