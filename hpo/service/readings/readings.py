"""The readings of a store's studies, kept within a limit of memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import pyarrow as pa

from hpo.service import threads
from hpo.service.context import Reading, Settings
from hpo.service.problems import Problem
from hpo.service.readings.newest import Newest
from hpo.service.readings.study import Jobs, NoJobs, StudyLook, size
from hpo.storage.local import LocalPlace
from hpo.storage.place import place
from hpo.store import StoreError, layout
from hpo.store.listing import Listing
from hpo.store.summary import Summary

THREADS = 4  # looks at a time: a store that is silent must not hold up all of the service
MEMORY = 512 * 2**20
LEAST = 2**16  # bytes that a study counts as at least, so that there are not very many
FIT_SECONDS = 1.0
Kind = TypeVar("Kind")
LONGEST = 200  # characters of a name that is looked for: no file system has longer ones


class Readings:
    """Reads each study once for all who ask, and looks again only while somebody does.

    seconds: least time between two looks at a study. memory: bytes of all readings that are kept; the one that was asked
    for longest ago goes first, and one that somebody listens to stays. jobs: those of the cluster, None without one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        seconds: float = 2.0,
        memory: int = MEMORY,
        jobs: Jobs | None = None,
    ) -> None:
        self._uri, self._seconds, self._memory, self._jobs = settings.store, seconds, memory, jobs or NoJobs()
        where = place(settings.store)
        self._folder = where if isinstance(where, LocalPlace) else None
        self._threads = threads.Unawaited(THREADS, "readings")
        self._studies: OrderedDict[str, Newest[Reading]] = OrderedDict()
        self._listing = Listing(settings.store)
        self._summaries = Newest(partial(self._there, self._listed), self._threads, seconds)
        self._last: dict[str, Summary] = {}
        self._fitted = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False)

    async def summaries(self) -> Sequence[Summary]:
        """Returns the summaries of all studies, archived ones too, from one listing of the store."""
        return list((await self._summaries.now()).values())

    async def summary_changes(self) -> AsyncIterator[Summary]:
        """Yields each summary that changes, for as long as the caller listens."""
        before: Mapping[str, Summary] | None = None
        async for found in self._summaries.changes():
            for name, summary in found.items():
                if before is not None and before.get(name) != summary:
                    yield summary
            before = found

    async def reading(self, study: str) -> Reading:
        """Returns a study's newest reading. Raises Problem 404 for none, and what the store raises while it is away."""
        try:
            return await self._of(study).now()
        except Problem:
            self._studies.pop(study, None)
            raise
        finally:
            self._fit()

    async def changes(self, study: str) -> AsyncIterator[Reading]:
        """Yields the study's reading, then each new one, for as long as the caller listens."""
        try:
            async for reading in self._of(study).changes():
                self._fit()
                yield reading
        except Problem:
            self._studies.pop(study, None)
            raise

    def forget(self, study: str) -> None:
        """Has the study, and the list of all, read anew at the next question."""
        self._summaries.forget()
        if study in self._studies:
            self._studies[study].forget()

    @property
    def kept(self) -> dict[str, int]:
        """The bytes that each study in memory takes, the one first that was asked for longest ago."""
        values = {name: newest.value for name, newest in self._studies.items()}
        return {name: LEAST + (0 if value is None else size(value)) for name, value in values.items()}

    def _of(self, study: str) -> Newest[Reading]:
        known = self._studies.get(study)
        if known is None:
            if len(study) > LONGEST:
                raise Problem(404, f"a study's name has at most {LONGEST} characters, but this one has {len(study)}")
            try:
                look = StudyLook(self._uri, layout.checked(study), self._jobs)
            except StoreError as error:
                raise Problem(404, str(error)) from None
            known = self._studies.setdefault(study, Newest(partial(self._there, look), self._threads, self._seconds))
        self._studies.move_to_end(study)
        return known

    def _fit(self) -> None:
        """Now and then lets go of the studies that were asked for longest ago, until the others fit into the memory."""
        if time.monotonic() < self._fitted + FIT_SECONDS:
            return
        self._fitted = time.monotonic()
        sizes = self.kept
        total = sum(sizes.values())
        for name in list(sizes)[:-1]:
            if total > self._memory and not self._studies[name].watched:
                del self._studies[name]
                total -= sizes[name]
                pa.default_memory_pool().release_unused()

    def _there(self, look: Callable[[], Kind]) -> Kind:
        """Returns what a look finds. Raises Unreachable where the store was moved away: its studies are not gone."""
        if self._folder is not None:
            self._folder.check_there()
        return look()

    def _listed(self) -> dict[str, Summary]:
        found = {summary.study: summary for summary in self._listing.summaries(self._jobs.waiting())}
        unknown = self._jobs.planned(lambda name: name not in found or not found[name].metric)  # but for their jobs
        found |= {name: planned.summary for name, planned in unknown.items()}
        found |= {name: newer for name, one in found.items() if (newer := self._newer(one)) is not None}
        if found != self._last:
            self._last = found
        return self._last

    def _newer(self, listed: Summary) -> Summary | None:
        """Returns what the tables tell of a driver that died: its last summary may be behind them, or ahead."""
        known = self._studies.get(listed.study)
        reading = None if known is None else known.value
        if reading is None or listed.state.word != "no sign of life" or reading.state.word != listed.state.word:
            return None
        if reading.summary.sign_of_life != listed.sign_of_life:  # another driver has come and died since
            return None
        return replace(reading.summary, state=listed.state, archived=listed.archived, tag=listed.tag)
