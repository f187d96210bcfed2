"""The cluster's jobs as the service sees them: one look for all who ask within a moment, and which studies wait for a turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from cluster.errors import ClusterError
from cluster.job import CANCEL, RETRIES, HeadUnreachable, Job, NoSuchJob
from cluster.slots import NodeResources, Request, capacity
from hpo.service import threads
from hpo.service.context import Cluster, Context, Settings
from hpo.service.problems import Problem
from hpo.service.submitting.rules import below
from hpo.text import shown

SECONDS, NODES_SECONDS = 2.0, 20.0  # that a look at the jobs and at the nodes counts for
PATIENCE = 0.5  # seconds that whoever can do without the newest jobs waits for them
ACT_SECONDS = 3.0  # that acts under way have once the service ends
THREADS = 16
REST = 4  # times as long as a look took that failed passes before the next one
KINDS = 100  # of trials whose slots are kept
T = TypeVar("T")
# notes of a submission: the studies, the most trials at a time, the epochs planned
STUDIES, WORKERS, EPOCHS = "hpo_studies", "hpo_workers", "hpo_epochs"


def queue_of(context: Context) -> Queue:
    """Returns the queue of the service's cluster. Raises Problem for a service without one."""
    if context.queue is None:
        raise Problem(409, "the service must be connected to a cluster, but was started without --address")
    return context.queue


@contextmanager
def explained() -> Iterator[None]:
    """Turns what the job server says into a problem."""
    try:
        yield
    except NoSuchJob as error:
        raise Problem(404, str(error)) from None
    except HeadUnreachable as error:
        raise Problem(503, str(error)) from None
    except ClusterError as error:
        raise Problem(409, str(error)) from None


class Queue:
    """The jobs of a cluster that play studies of the service's stores.

    The service's end waits for no answer of the cluster, and only a little for an act: a submission comes to its end, and
    a stop is sent, while the head sees to it that the job ends.
    """

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.cluster, self._stores = cluster, (settings.store, *settings.stores)
        self._jobs, self._slots = _Lately[list[Job]](SECONDS), dict[str, _Lately[int]]()
        self._threads = threads.Unawaited(THREADS, "cluster")
        self._acts: set[asyncio.Task[Any]] = set()
        self._ending = threading.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._acts:
            await asyncio.wait(self._acts, timeout=ACT_SECONDS)
        self._threads.shutdown(wait=False)

    def begin(self, act: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins an act on the cluster, which goes on even if whoever asked for it hangs up."""
        task = asyncio.create_task(act)
        self._acts.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._acts.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have gone, and asyncio complains of errors that nobody met

    async def stop(self, series: str) -> Job:
        """Stops a series and returns its last attempt once that has ended, or as it is when the service ends."""
        return await self.ask(partial(self.cluster.stop, series, hurry=self._ending))

    async def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Returns an answer of the cluster without blocking the event loop.

        In threads of its own: a head that is silent holds up nothing that needs the store alone.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *arguments)

    async def jobs(self) -> list[Job]:
        """Returns the attempts at studies, newest first, as they were within the last seconds. Raises Problem."""
        return [job for job in await self.ask(self.look) if job.helper is None]

    async def job(self, name: str) -> Job:
        """Returns a job by its id, or the last attempt of a series. Raises Problem 404."""
        found = [job for job in await self.jobs() if name in (job.id, job.series)]
        if not found:
            raise Problem(
                404, f"a job must be known to the cluster, but {shown(name)} is not; `hpo jobs` lists all jobs"
            )
        return next((job for job in found if job.id == name), max(found, key=lambda job: job.attempt))

    async def of_study(self, study: str) -> list[Job]:
        """Returns the attempts at a study, or at a suite with it, newest first."""
        return [job for job in await self.jobs() if study in studies_of(job)]

    async def retried(self) -> set[str]:
        """Returns the series whose next attempt comes by itself."""
        return {job.series for job in await self.ask(self.look) if job.helper == RETRIES and not job.done}

    def look(self, anew: bool = False) -> list[Job]:
        """Returns all jobs that play studies of the service's stores, helpers too. Blocks."""
        if anew:
            self._jobs.forget()
        return self._jobs.get(self._found)

    def known(self) -> list[Job]:
        """Returns the jobs as `look` does, or as they were when the head last answered; none before. Blocks for a moment."""
        return self._jobs.soon(self._found, PATIENCE) or []

    def _found(self) -> list[Job]:
        with explained():
            return self._ours(self.cluster.jobs())

    def slots(self, bundles: Sequence[Mapping[str, float]], labels: Mapping[str, str]) -> int:
        """Returns how many trials of this kind the cluster's nodes, as they are now, hold at a time. Blocks."""
        kind = repr((bundles, labels))
        if kind not in self._slots and len(self._slots) >= KINDS:
            self._slots.clear()
        request = Request(tuple(bundles), labels)
        return self._slots.setdefault(kind, _Lately(NODES_SECONDS)).get(lambda: capacity(self._nodes(), request))

    def _nodes(self) -> list[NodeResources]:
        with explained():
            found = self.cluster.nodes()
        return [
            NodeResources(str(node["node_id"]), node["resources_total"], node.get("labels") or {}) for node in found
        ]

    def _ours(self, jobs: Sequence[Job]) -> list[Job]:
        return [job for job in jobs if job.study and job.store and any(below(job.store, each) for each in self._stores)]


class _Lately(Generic[T]):
    """A value that is found anew only some seconds after it was found last, once for all threads that ask.

    An error counts as long, and longer where it took long: a head that is away holds up one who asks, and not each in turn.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, float("-inf")
        self._began = self._forgotten = float("-inf")  # when the last look began, and before when none counts
        self._lock = threading.Lock()
        self._value: T | None = None
        self._error: Problem | None = None
        self._thread: threading.Thread | None = None

    def get(self, find: Callable[[], T]) -> T:
        with self._lock:
            if self._outdated:
                self._find(find)
            if self._error is not None:
                raise self._error.with_traceback(None)  # many raise it, each with a traceback of its own
            assert self._value is not None
            return self._value

    def soon(self, find: Callable[[], T], patience: float) -> T | None:
        """Returns the value, an older one if a new one takes longer than `patience` seconds; None before the first one."""
        if self._outdated:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._refresh, args=(find,), daemon=True, name="a look at the cluster"
                )
                self._thread.start()
            self._thread.join(patience)
        return self._value

    def _refresh(self, find: Callable[[], T]) -> None:
        with suppress(Problem):
            self.get(find)

    def _find(self, find: Callable[[], T]) -> None:
        self._began = time.monotonic()
        try:
            self._value, self._error = find(), None
        except Problem as error:
            self._error = error
        now = time.monotonic()
        self._until = now + self._seconds + (0.0 if self._error is None else REST * (now - self._began))

    @property
    def _outdated(self) -> bool:
        return self._began <= self._forgotten or time.monotonic() > self._until

    def forget(self) -> None:
        """Has the next who asks wait for a look that begins after this call."""
        self._forgotten = time.monotonic()


def studies_of(job: Job) -> tuple[str, ...]:
    """Returns the studies that a job plays: its own, or those of its suite's tasks."""
    listed = job.metadata.get(STUDIES)
    return tuple(listed.split(",")) if listed else (job.study or "",)


def active(jobs: Sequence[Job]) -> Mapping[str, Job]:
    """Returns the series that have not ended, each with a job of it: also those between two attempts."""
    return {job.series: job for job in jobs if not job.done and job.helper != CANCEL}
