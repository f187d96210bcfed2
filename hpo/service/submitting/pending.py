"""Studies that the store does not have: waiting for their turn, ended before their first word, or gone to another store.

Every call blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from cluster.job import QUEUE, Job
from hpo.service.readings.study import Planned
from hpo.service.submitting.queue import Queue, studies_of
from hpo.service.submitting.records import Records, Submitted
from hpo.service.submitting.rules import below
from hpo.store import StudyData, schema
from hpo.store.errors import StoreError
from hpo.store.state import State, Word
from hpo.store.summary import Facts, Summary, planned

LATELY = 7 * 24 * 3600.0  # seconds for which a study is shown that has ended, and of which the store has nothing


class Pending:
    """What the cluster and the service's records tell of studies before the store does; `readings.study.Jobs` of a cluster."""

    def __init__(self, queue: Queue, store: str) -> None:
        self._queue, self._store = queue, store
        self._records: dict[str, Submitted | None] = {}  # by study and series: a series' record does not change

    def waiting(self) -> Mapping[str, float]:
        """Returns since when studies wait whose job waits for its turn; while the head does not answer, as it said last."""
        return {
            study: job.started or time.time()
            for job in reversed(self._jobs())
            if job.status == "PENDING" and not self._elsewhere(job)
            for study in studies_of(job)
        }

    def planned(self, wanted: Callable[[str], bool]) -> Mapping[str, Planned]:
        """Returns the studies among the wanted ones that a job plays, or was to play lately."""
        newest: dict[str, Job] = {}
        for job in self._jobs():
            for study in studies_of(job):
                if wanted(study):
                    newest.setdefault(study, job)
        return {
            study: self._planned(study, job)
            for study, job in newest.items()
            if (job.status != "SUCCEEDED" or self._elsewhere(job))
            and (not job.done or (job.ended or 0) > time.time() - LATELY)
        }

    def newest(self, study: str) -> Mapping[str, str] | None:
        """Returns id and page of the study's newest job; None where the cluster remembers none, or does not answer."""
        jobs = [job for job in self._jobs() if study in studies_of(job)]
        found = min(jobs, key=self._elsewhere, default=None)  # one for this store, if there is one
        return None if found is None else {"id": found.id, "page": self._queue.cluster.page(found.id)}

    def _jobs(self) -> list[Job]:
        return [job for job in self._queue.known() if job.helper is None]

    def _elsewhere(self, job: Job) -> bool:
        """Tells whether a job writes into another store than the one that is served."""
        return not (below(job.store or "", self._store) and below(self._store, job.store or ""))

    def _planned(self, study: str, job: Job) -> Planned:
        made = self._submitted(study, job)
        plan = (made.plans.get(study) if made else None) or {}
        definition = plan.get("definition") or {}
        facts = planned(study, definition) if definition else Facts(study=study, mode="max")
        facts = replace(
            facts,
            owner=job.owner,
            priority=plan.get("priority", 1.0),
            began=job.started,
            updated=job.ended or job.started,
        )
        state = state_elsewhere(job) if self._elsewhere(job) else state_of(job)
        about = Summary.of(facts, state, archived=False, verdict=None, tag=f"{job.id} {job.status}")
        if not definition:
            return Planned(about, None)
        tables = {name: schema.to_table(name, [], plan.get("kinds", {})) for name in schema.TABLES}
        return Planned(about, StudyData(study, definition, {}, **tables, digest=plan.get("digest", "")))

    def _submitted(self, study: str, job: Job) -> Submitted | None:
        key = f"{study} {job.series}"
        if key not in self._records:
            try:
                made = Records(self._store).submitted(study)
            except StoreError:  # away; asked again with the next look
                return None
            if len(self._records) > 1000:
                self._records.clear()
            self._records[key] = made
        return self._records[key]


def state_of(job: Job) -> State:
    """Returns the state of a study of which nothing but its job is known."""
    if job.status == "PENDING":
        where = f"in the queue {queue}" if (queue := job.metadata.get(QUEUE)) else "on the cluster"
        return State("queued", job.started, f"waits for its turn {where}, as job {job.id}")
    if not job.done:
        return State("starting", job.started, f"job {job.id} has started, and has no results yet")
    if job.status == "STOPPED":
        return State("stopped", job.ended, f"job {job.id} was stopped before it had a result")
    return State("failed", job.ended, f"job {job.id} ended without a result; its log says why")


def state_elsewhere(job: Job) -> State:
    """Returns the state of a study that goes to another store: its job's, since nobody looks into that store."""
    there = f"its results go to {job.store}, which this service does not show"
    if job.status == "PENDING":
        known = state_of(job)
        return State(known.word, known.since, f"{known.sentence}; {there}")
    if not job.done:
        return State("running", job.started, f"job {job.id} plays it; {there}")
    word: Word = "complete" if job.status == "SUCCEEDED" else "stopped" if job.status == "STOPPED" else "failed"
    return State(word, job.ended, f"job {job.id} {job.status.lower()}; {there}")
