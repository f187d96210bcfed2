"""What the slots of a cluster do next, and what becomes of their reports. Decides nothing that a method decides.

No ray in here: the driver hands assignments to Tune and reports back; tests hand them to a plain `Training`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from hpo.game.arena import Arena
from hpo.game.run import Run
from hpo.live.assignments import Assignments
from hpo.live.exams import Exams
from hpo.live.incidents import Incidents
from hpo.live.record import Record
from hpo.live.standings import Standings
from hpo.live.suggestions import Suggestions
from hpo.live.thinking import Thinking
from hpo.live.tidying import Tidying
from hpo.live.tracking import Tracking
from hpo.store import StudyWriter
from hpo.study.study import Study
from hpo.study.values import Charge, RunFailure
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.training import Assignment, Report

GB = 10**9


class Dispatch:
    """One study on its way, continued from what `writer`'s store holds. All calls must come from one thread.

    `ahead`: the segments of an oblivious method that are planned beyond its virtual workers. Raises OtherDecision, with
    nothing written, if a run does not decide again what the store holds of it.

    >>> dispatch = Dispatch(study, runs, writer, "results/digits/checkpoints", ahead=64)  # doctest: +SKIP
    >>> while not dispatch.finished:
    ...     assignment = dispatch.next()
    ...     assert assignment is not None                     # None while all that is left is under way elsewhere
    ...     dispatch.report(assignment, Training(assignment).step(), "host:1")
    >>> dispatch.finish(complete=True)
    """

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
        self._tracking = tracking or Tracking()
        self.incidents = Incidents()
        self._record = Record(writer, self._tracking, study.metric)
        self.effort = self._record.effort
        self._suggestions = Suggestions(study, runs)
        for run in runs:
            if (script := self._record.scripts.get(str(run.key))) is not None:
                run.follow(script)
        self.arena = Arena(runs, self._record.curves, ahead)
        # Called in any thread when a method has decided; the driver sets it.
        self.wake: Callable[[], None] = lambda: None
        self._thinking = Thinking(self._events_of, self._record.events, lambda: self.wake())
        self._standings = Standings(study, self.arena, self._record, self._thinking, writer)
        self._exams = Exams(study, self.arena, writer, checkpoints)
        self._assignments = Assignments(
            study, self.arena, self._exams, checkpoints, over=self._over, keep=lambda trial: self._tidying.keep(trial)
        )
        try:
            self._play(runs)  # raises OtherDecision where a run does not repeat what is stored
        except BaseException:
            self._thinking.abandon()  # Python would wait for the threads for ever if a signal comes while one starts
            raise
        limit = study.checkpoints_gb * GB
        self._tidying = Tidying(Checkpoints(checkpoints), limit, lambda: list(self.live))

    def _events_of(self, run: Run) -> list[Charge | RunFailure]:
        """Plays a run; its new suggestions are in the store before what it was charged is."""
        events = self.arena.events_of(run)
        self._suggestions.keep(run)
        return events

    # -- out: what to do ------------------------------------------------------------------------------------------

    @property
    def live(self) -> dict[str, Assignment]:
        """The assignments under way, by trial."""
        return self._assignments.live

    @property
    def trained(self) -> int:
        """The epochs that workers have trained for this dispatch, those that were trained again among them."""
        return self._record.trained

    @property
    def exams(self) -> tuple[int, int]:
        """The number of exams under way, and of those that no slot takes yet; zeros while a run is not over."""
        return (len(self.live), self._exams.waiting(self.live)) if self._over() else (0, 0)

    @property
    def waiting(self) -> bool:
        """Whether some method is thinking."""
        return bool(self._thinking)

    @property
    def finished(self) -> bool:
        """Whether every run is over and every exam taken."""
        self._thinking.collect()
        return self._assignments.finished

    def next(self) -> Assignment | None:
        """Returns the most urgent thing that no slot does yet; None where there is nothing to do right now."""
        self._thinking.collect()
        return self._assignments.next()

    def batch(self, seconds: float, others: int) -> list[Assignment]:
        """Returns what one slot should do next: one thing, or several that are expected to take `seconds` together.

        There are several only where enough is left for the `others`, the slots that are free too.
        """
        self._thinking.collect()
        return self._assignments.batch(seconds, others, self.effort.pace)

    def wants(self, most: int) -> int:
        """Counts the assignments that could be under way now, if there were slots for them, up to `most`."""
        return self._assignments.wants(most)

    def think(self, seconds: float) -> None:
        """Waits up to `seconds` for the methods that are thinking: for when no slot has anything to do."""
        self._thinking.wait(seconds)

    def _over(self) -> bool:
        return self.arena.done and not self._thinking

    # -- in: what came of it --------------------------------------------------------------------------------------

    def report(self, assignment: Assignment, report: Report, worker: str) -> None:
        """Takes a worker's report: records it, adds it to the arena, and plays the runs that it moves."""
        trial = assignment.trial
        with self.writer.together():
            if assignment.exam:
                self._exams.report(trial, report)
            elif not self._take(assignment, report, worker):
                return
        if report.done:
            self._assignments.end(trial)
            if not self.arena.resumable(trial):
                self._tidying.drop(trial)
        self._standings.write_if_due()

    def _take(self, assignment: Assignment, report: Report, worker: str) -> bool:
        """Takes a report on a segment; False where the trial is to be tried once more."""
        key = self._assignments.key(assignment)
        self._record.note(report.provenance)
        again: list[int] = []
        for row in report.records:
            record = self._record.epoch(key, row, worker)
            if record is not None:
                value = record.metrics[self.study.metric]
                self._play(self.arena.add(key.id, record.epoch, value, record.ended))
            elif not row.get("recovered"):
                again.append(int(row["epoch"]))
        if again:
            self.incidents.again(key.id, again)
        if report.failure is None:
            return True
        what = f"trial {key.id} failed in epoch {self.arena.curves.known(key.id) + 1}"
        if report.failure["kind"] == "memory" and self._assignments.retry(key.id):
            self.incidents.add("memory", f"{what} for lack of memory; it is tried once more, alone")
            return False
        self.incidents.add("failed", f"{what}: {report.failure['reason']}")
        self._record.failure(key.id, report.failure)
        self._play(self.arena.fail(key.id, report.failure["reason"]))
        return True

    def withdraw(self, assignment: Assignment) -> None:
        """Takes back an assignment whose worker died: what is left to train will be assigned anew."""
        self._assignments.withdraw(assignment.trial)

    def lost(self, assignment: Assignment, reason: str) -> None:
        """Gives up an assignment whose workers died more often than is allowed."""
        self.report(assignment, Report(failure={"epoch": None, "kind": "lost", "reason": reason}, done=True), "")

    def _play(self, runs: list[Run]) -> None:
        for run in runs:
            self._thinking.play(run)

    # -- the end --------------------------------------------------------------------------------------------------

    def finish(self, complete: bool) -> None:
        """Hands everything over to the store and closes it; a complete study leaves no checkpoint behind.

        Whatever fails on the way, the store is closed: the next driver must find no lease and no open spool.
        """
        try:
            self._thinking.finish()
            self._standings.write()
            self.writer.flush()
            self.writer.note(self._record.provenance)
        except BaseException:
            complete = False  # the results may not be in the store, and what they came from must stay
            raise
        finally:
            with ExitStack() as closing:
                closing.callback(self.writer.close, compact=complete)
                closing.callback(self._tracking.close)
                closing.callback(self._tidying.finish, everything=complete)
