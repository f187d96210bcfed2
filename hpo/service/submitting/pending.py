"""Studies that the store does not have yet: submitted, waiting for their turn, or ended before their first word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from cluster.job import Job
from hpo.service.context import Context
from hpo.service.problems import Problem
from hpo.service.submitting.queue import queue_of, studies_of
from hpo.service.submitting.records import Records, Submitted
from hpo.store.errors import StoreError
from hpo.store.state import State
from hpo.store.summary import Summary

DAYS = 7 * 24 * 3600.0  # that a study which ended without a word is shown


async def pending(context: Context, known: Collection[str]) -> list[Summary]:
    """Returns a summary of each study that a job plays, or was to play lately, and that is not among the `known` ones.

    Nothing for a service without a cluster, and while its head does not answer.
    """
    if context.cluster is None:
        return []
    try:
        jobs = await queue_of(context).jobs()
    except Problem:
        return []
    newest: dict[str, Job] = {}
    for job in jobs:
        for study in studies_of(job):
            if study not in known and (not job.done or (job.ended or 0) > time.time() - DAYS):
                newest.setdefault(study, job)
    newest = {study: job for study, job in newest.items() if job.status != "SUCCEEDED"}
    return await asyncio.to_thread(lambda: [_summary(context.settings.store, *each) for each in newest.items()])


def _summary(store: str, study: str, job: Job) -> Summary:
    try:
        made = Records(store).submitted(study)
    except StoreError:
        made = None
    glance = (made.glance if made else None) or {}
    methods, seeds, a_run = tuple(glance.get("methods", ())), int(glance.get("seeds", 0)), glance.get("a_run")
    runs = len(methods) * seeds
    return Summary(
        study=study, suite=glance.get("suite"), archived=False, owner=job.owner, priority=float(glance.get("priority", 1)),
        state=state_of(job, made), task=glance.get("task", ""), trainable=glance.get("trainable", ""),
        metric=glance.get("metric", ""), mode=glance.get("mode", "max"), methods=methods, seeds=seeds, runs=runs,
        runs_complete=0, unit=glance.get("unit", "epochs"), a_run=a_run, total=None if a_run is None else runs * a_run,
        charged=0, progress=0.0, best=None, verdict=None, failed_trials=0, began=job.started, updated=job.started,
        sign_of_life=None,
    )  # fmt: skip


def state_of(job: Job, made: Submitted | None = None) -> State:
    """Returns the state of a study of which nothing but its job is known."""
    since = job.started or (made.when if made else None)
    if job.status == "PENDING":
        where = f"in the queue {queue}" if (queue := job.metadata.get("hpo_queue")) else "on the cluster"
        return State("queued", since, f"waits for its turn {where}, as job {job.id}")
    if not job.done:
        return State("starting", since, f"job {job.id} has started, and has no results yet")
    if job.status == "STOPPED":
        return State("stopped", job.ended, f"job {job.id} was stopped before it had a result")
    return State("failed", job.ended, f"job {job.id} ended without a result; its log says why")
