"""The cluster's jobs as the service sees them: one look for all who ask within a moment, and which studies wait for a turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from cluster.errors import ClusterError
from cluster.job import CANCEL, RETRIES, HeadUnreachable, Job, NoSuchJob
from hpo.service.context import Cluster, Context
from hpo.service.problems import Problem
from hpo.service.submitting.rules import below

if TYPE_CHECKING:
    pass

SECONDS = 2.0  # that a look at the jobs counts for
STUDIES, WORKERS, EPOCHS = (
    "hpo_studies",
    "hpo_workers",
    "hpo_epochs",
)  # notes of a submission: names, most trials, epochs planned

_queues: WeakKeyDictionary[Cluster, Queue] = WeakKeyDictionary()


def queue_of(context: Context) -> Queue:
    """Returns the queue of the service's cluster, the same for all routes. Raises Problem for a service without one."""
    cluster = context.cluster
    if cluster is None:
        raise Problem(409, "the service must be connected to a cluster, but was started without --address")
    if cluster not in _queues:
        settings = context.settings
        _queues[cluster] = Queue(cluster, (settings.store, *settings.stores))
    return _queues[cluster]


@contextmanager
def explained() -> Iterator[None]:
    """Turns what the job server says into a problem."""
    try:
        yield
    except NoSuchJob as error:
        raise Problem(404, str(error)) from None
    except HeadUnreachable as error:
        raise Problem(503, str(error), headers={"Retry-After": "5"}) from None
    except ClusterError as error:
        raise Problem(409, str(error)) from None


class Queue:
    """The jobs of a cluster that play studies of the service's stores."""

    def __init__(self, cluster: Cluster, stores: Sequence[str]) -> None:
        self.cluster, self._stores = cluster, tuple(stores)
        self._looked, self._jobs = float("-inf"), list[Job]()
        self._lock = asyncio.Lock()

    async def jobs(self) -> list[Job]:
        """Returns the attempts at studies, newest first, as they were within the last seconds. Raises Problem."""
        return [job for job in await self._all() if job.helper is None]

    async def job(self, name: str) -> Job:
        """Returns a job by its id, or the last attempt of a series. Raises Problem 404."""
        found = [job for job in await self.jobs() if name in (job.id, job.series)]
        if not found:
            raise Problem(404, f"a job must be known to the cluster, but {name!r} is not; `hpo jobs` lists all jobs")
        return next((job for job in found if job.id == name), max(found, key=lambda job: job.attempt))

    async def of_study(self, study: str, *, fresh: bool = False) -> list[Job]:
        """Returns the attempts at a study, or at a suite with it, newest first."""
        if fresh:
            self.forget()
        return [job for job in await self.jobs() if study in studies_of(job)]

    async def waiting(self) -> dict[str, Job]:
        """Returns the studies whose job waits for its turn, and that job. Nothing where the head does not answer."""
        try:
            jobs = await self.jobs()
        except Problem:
            return {}
        return {study: job for job in reversed(jobs) if job.status == "PENDING" for study in studies_of(job)}

    async def retried(self) -> set[str]:
        """Returns the series whose next attempt comes by itself."""
        return {job.series for job in await self._all() if job.helper == RETRIES and not job.done}

    def forget(self) -> None:
        """Lets the next question look anew."""
        self._looked = float("-inf")

    def ours(self, jobs: Sequence[Job]) -> list[Job]:
        """Returns those of the jobs that play studies of the service's stores."""
        return [job for job in jobs if job.study and job.store and any(below(job.store, each) for each in self._stores)]

    async def _all(self) -> list[Job]:
        async with self._lock:
            if time.monotonic() - self._looked > SECONDS:
                with explained():
                    self._jobs = self.ours(await asyncio.to_thread(self.cluster.jobs))
                self._looked = time.monotonic()
            return self._jobs


def studies_of(job: Job) -> tuple[str, ...]:
    """Returns the studies that a job plays: its own, or those of its suite's tasks."""
    listed = job.metadata.get(STUDIES)
    return tuple(listed.split(",")) if listed else (job.study or "",)


def active(jobs: Sequence[Job]) -> Mapping[str, Job]:
    """Returns the series that have not ended, each with a job of it: also those between two attempts."""
    return {job.series: job for job in jobs if not job.done and job.helper != CANCEL}
