"""What the service's routes are given: settings, the cache of readings, the analyses, the cluster, the audit log. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from hpo.results.standing import current
from hpo.service.once import Once

if TYPE_CHECKING:
    from cluster.job import Job, Submission
    from hpo.service.access import Access
    from hpo.service.submitting.checker import Checker
    from hpo.service.submitting.queue import Queue
    from hpo.store import StudyData
    from hpo.store.state import State
    from hpo.store.summary import Summary

Kind = TypeVar("Kind")
Role = Literal["view", "run", "admin"]
STANDING = "standing"
ROLES: tuple[Role, ...] = ("view", "run", "admin")  # each may what those before it may


@dataclass(frozen=True)
class Caller:
    """Who asks: the name of a token and its role; `source` is the address that the request came from."""

    name: str
    role: Role
    source: str = ""

    def may(self, role: Role) -> bool:
        """Tells whether the caller's role includes `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Settings:
    """How a service was started.

    cache: a folder for what can be made again. job_server: the address of a cluster's job server, None without a cluster.
    allow_code: studies may name any trainable. trainables, data_roots, stores: what studies may name besides those of this
    project, below which their data may lie, and where they may write (the service's own store always).
    job_variables: the service's environment variables that jobs get, privately, as of `hpo submit --env`.
    studies_at_a_time, slots, epochs_a_day: quotas of an owner, None without one. root_path: the path at which a reverse proxy
    shows the service.
    """

    store: str
    cache: Path
    job_server: str | None = None
    allow_code: bool = False
    trainables: tuple[str, ...] = ()
    data_roots: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    job_variables: tuple[str, ...] = ()
    studies_at_a_time: int | None = None
    slots: int | None = None
    epochs_a_day: int | None = None
    queue: str | None = None
    root_path: str = ""
    upload_bytes: int = 50 * 2**20


@dataclass(frozen=True)
class Reading:
    """A study as it was read: its tables, its state, and a version that changes with anything of it.

    contents: a version of the head and the tables alone, which a lease that is renewed does not change. nbytes: of the
    tables. job: id and page of its newest job, None where the cluster remembers none. What follows from a reading and many
    ask for (its JSON text, its curves) is made once: `text = await reading.later("detail", make)`.
    """

    data: StudyData
    state: State
    summary: Summary
    version: str
    figures: Mapping[str, Any] | None = None  # what its driver wrote lately
    contents: str = ""
    nbytes: int = 0
    job: Mapping[str, str] | None = None
    made: Once = field(default_factory=Once, compare=False, repr=False)

    @property
    def standing(self) -> StudyData:
        """The study with runs and trials as its charges give them, which are never behind; derived once. Blocks."""
        return self.once(STANDING, lambda: current(self.data))

    def once(self, key: Hashable, make: Callable[[], Kind]) -> Kind:
        """Returns what `make` returns, made at the first call with the key. Blocks while it is made: not for the event loop."""
        return self.made.once(key, make)

    def begin_as(self, before: Reading) -> None:
        """Derives at once what somebody asked the reading `before` for: whoever asks this one need not wait for it. Blocks."""
        known = before.made.found(STANDING)
        if known is not None:
            with suppress(Exception):  # whoever asks meets it
                self.once(STANDING, lambda: known if self.data is before.data else current(self.data))

    async def later(self, key: Hashable, make: Callable[[], Kind]) -> Kind:
        """Returns the same without blocking the event loop: `make` runs in a thread, once for all who ask."""
        return await self.made.later(key, make)


class Lasting(Protocol):
    """What begins and ends with the service."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class Readings(Lasting, Protocol):
    """The one cache through which every route reads the store. Raises StoreError, Unreachable where the store is away."""

    async def summaries(self) -> Sequence[Summary]:
        """Returns the summaries of all studies, archived ones too, from one listing of the store."""

    async def reading(self, study: str) -> Reading:
        """Returns a study's newest reading, shared by all who ask within a moment. Raises Problem 404 for none."""

    def changes(self, study: str) -> AsyncIterator[Reading]:
        """Yields the study's reading, then each new one, for as long as the caller listens.

        Of several new ones between two steps of a slow listener only the last is yielded. Raises Problem 404 once the study
        is gone, and what the store raises while it is away: whoever goes on listening calls it again.
        """

    def summary_changes(self) -> AsyncIterator[Summary]:
        """Yields each summary that changes, for as long as the caller listens. Raises what the store raises."""

    def forget(self, study: str) -> None:
        """Has the study read anew at the next question: something of it was just changed."""


@dataclass(frozen=True)
class Made:
    """An analysis: its content in memory or in a file of the cache, its media type, and its ETag (without quotes)."""

    etag: str
    media: str
    content: bytes | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Making:
    """An analysis that is being made since then (seconds since 1970)."""

    etag: str
    since: float


@dataclass(frozen=True)
class News:
    """An analysis of these studies begins to be made, or is made (`done`), with its ETag; `sentence`: why it is not."""

    what: str
    studies: tuple[str, ...]
    etag: str
    done: bool
    sentence: str | None = None


class Analysis(Lasting, Protocol):
    """What takes a processor for a while: made in processes of its own, once for each state of the studies, and kept."""

    async def ask(
        self, what: str, studies: Sequence[Reading], options: Mapping[str, Any] | None = None, *, old: bool = False
    ) -> Made | Making:
        """Returns an analysis that is there, or starts to make it.

        Of a study that runs, one made a moment ago counts: else a study that changes faster than an analysis takes would
        never have one. `old`: of a study that runs, the last one counts for as long as a newer one is being made.
        Raises Problem with the sentence that it ended with: 409 or 422 where the studies or options allow none, 503 where
        its process died or took too long.
        """

    async def wait(self, what: str, studies: Sequence[Reading], options: Mapping[str, Any] | None = None) -> Made:
        """Returns an analysis of exactly these readings once it is made. Raises as `ask`."""

    def news(self) -> AsyncIterator[News]:
        """Yields what is being made and what is made, of all studies, for as long as the caller listens."""


class Cluster(Protocol):
    """The job server of the cluster; `cluster.jobs.JobServer` is one. All calls block."""

    url: str

    def submit(self, submission: Submission, *, after: Job | None = None) -> Job: ...
    def job(self, job_id: str) -> Job: ...
    def jobs(self) -> list[Job]: ...
    def series(self, name: str) -> list[Job]: ...
    def stop(self, job_id: str, *, hurry: Event | None = None) -> Job: ...
    def logs(self, job_id: str) -> str: ...
    def follow(self, job_id: str) -> Iterator[str]: ...
    def nodes(self) -> list[dict[str, Any]]: ...
    def page(self, job_id: str) -> str: ...


class Audit(Protocol):
    """Who did what, when, from where: append-only, in the store."""

    def write(self, caller: Caller, what: str, *, study: str | None = None, **detail: Any) -> None:
        """Appends an entry. Raises StoreError where it cannot be kept: what is not recorded is not done."""

    def entries(self, limit: int = 100, cursor: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """Returns entries, the newest first, and the cursor of the next page, None after the last."""


@dataclass(frozen=True)
class Context:
    """What every route may use.

    checker: looks at the texts of studies. queue: the jobs of the cluster, None without one. access: None lets everybody of
    this machine do everything.
    """

    settings: Settings
    readings: Readings
    analysis: Analysis
    audit: Audit
    checker: Checker
    queue: Queue | None = None
    access: Access | None = None
