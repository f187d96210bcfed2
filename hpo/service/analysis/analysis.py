"""The analyses that the service offers: asked for by many, made once, kept, and told to those who listen."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from hpo.files import expanded
from hpo.service import threads
from hpo.service.analysis import handing, pool
from hpo.service.analysis.makers import Kind, kind
from hpo.service.analysis.shelf import Shelf
from hpo.service.analysis.subject import Subject, subject
from hpo.service.context import Made, Making, News, Reading, Settings
from hpo.service.problems import Problem
from hpo.text import one_line

SIZE = 2 * 2**30
IN_MEMORY = 8 * 2**20  # bytes of the largest content that is handed out as such
WAITING = 200  # analyses at most that wait for a process
KNOWN = 1000  # analyses of which is known how they ended
LATELY_SECONDS, LATELY = (
    30.0,
    4,
)  # how long one of a study that runs is new enough, also in times of what it took to make
FRESH_SECONDS = 0.5  # for which a file that was read stays in memory: many ask for the same at once
RETRY_SECONDS = 30.0  # after a process was lost

log = logging.getLogger("hpo.service")


@dataclass
class _End:
    """How the last making of a topic ended, and when; `problem` where nothing came of it."""

    etag: str
    ended: float
    took: float
    problem: Problem | None

    @property
    def counts(self) -> bool:
        """Whether the problem still stands: a process that was lost is tried again after a while."""
        return self.problem is None or self.problem.status < 500 or time.monotonic() < self.ended + RETRY_SECONDS

    @property
    def lately(self) -> bool:
        """Whether what was made is new enough for a study that runs."""
        return time.monotonic() - self.ended < max(LATELY_SECONDS, LATELY * self.took)


class Analysis:
    """Makes each analysis once for each state of its studies, in processes of a low priority, and keeps it on disk.

    processes: how many (default: one less than there are cores). limit: seconds after which one is taken to hang. size:
    bytes of all files in the cache. nice: how far the processes stand back for others, such as a driver on this machine.
    """

    def __init__(
        self, settings: Settings, *, processes: int | None = None, limit: float = 600.0, size: int = SIZE,
        nice: int = pool.NICE,
    ) -> None:  # fmt: skip
        self._store = settings.store
        self._shelf = Shelf(expanded(settings.cache), size)
        many = processes or pool.processes()
        self._pool = pool.Pool(many, limit, nice)
        # A copy of each study waits on disk: of those for the next orders alone, long ones and short ones apart.
        self._handed = {long: asyncio.Semaphore(many + 1) for long in (False, True)}
        self._making: dict[str, tuple[Making, asyncio.Task[None]]] = {}
        self._topics: dict[str, str] = {}  # topic -> ETag of what is being made
        self._ends: OrderedDict[str, _End] = OrderedDict()  # by topic
        self._listeners: set[asyncio.Queue[News]] = set()
        self._fresh: dict[str, Made] = {}  # what was found a moment ago
        self._threads = ThreadPoolExecutor(2, "analysis")  # files of large studies: nobody else waits behind them

    async def __aenter__(self) -> Self:
        await threads.made(self._shelf.prepare, self._threads)
        self._pool.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for _, task in self._making.values()]
        for task in tasks:
            task.cancel()
        await self._pool.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that live."""
        return self._pool.pids

    async def ask(
        self, what: str, studies: Sequence[Reading], options: Mapping[str, Any] | None = None, *, old: bool = False
    ) -> Made | Making:
        """Returns an analysis that is there, or an older one if a study runs, or starts to make it."""
        asked, how = self._asked(what, studies, options)
        made = await self._known(asked.etag, asked.topic, how)
        if made is not None:
            return made
        end = self._ends.get(asked.topic) if asked.changing else None
        if end is not None and end.lately and asked.topic not in self._topics:
            made = await self._known(end.etag, asked.topic, how)
            if made is not None:
                return made
        current = self._topics.get(asked.topic) if asked.changing else None
        making = self._begun(asked, how, studies)[0] if current is None else self._making[current][0]
        last = end.etag if old and end is not None and end.problem is None else None
        return making if last is None else await self._known(last, asked.topic, how) or making

    async def wait(self, what: str, studies: Sequence[Reading], options: Mapping[str, Any] | None = None) -> Made:
        """Returns an analysis of exactly these readings once it is made."""
        asked, how = self._asked(what, studies, options)
        made = await self._known(asked.etag, asked.topic, how)
        while made is None:
            await asyncio.shield(self._begun(asked, how, studies)[1])  # others wait for it too
            made = await self._known(asked.etag, asked.topic, how)
        return made

    async def news(self) -> AsyncIterator[News]:
        """Yields what is being made and what is made, for as long as the caller listens."""
        mine: asyncio.Queue[News] = asyncio.Queue(KNOWN)
        self._listeners.add(mine)
        try:
            while True:
                yield await mine.get()
        finally:
            self._listeners.discard(mine)

    # -- what is there --------------------------------------------------------------------------------------------

    def _asked(self, what: str, studies: Sequence[Reading], options: Mapping[str, Any] | None) -> tuple[Subject, Kind]:
        asked = subject(self._store, what, studies, options)
        return asked, kind(what, asked.options)

    async def _known(self, etag: str, topic: str, how: Kind) -> Made | None:
        """Returns what is made. Raises the problem that it ended with."""
        made = self._fresh.get(etag)
        if made is None:
            made = await threads.made(lambda: self._found(etag, how), threads.SHORT)
        if made is not None and etag not in self._fresh:
            self._fresh[etag] = made
            asyncio.get_running_loop().call_later(FRESH_SECONDS, self._fresh.pop, etag, None)
        end = self._ends.get(topic)
        if made is None and end is not None and end.etag == etag and end.counts and end.problem is not None:
            raise end.problem.with_traceback(None)  # many raise it, each with a traceback of its own
        return made

    def _found(self, etag: str, how: Kind) -> Made | None:
        path = self._shelf.find(etag, how.suffix)
        try:
            if path is None or path.stat().st_size > IN_MEMORY:
                return None if path is None else Made(etag, how.media, path=path)
            return Made(etag, how.media, content=path.read_bytes())
        except FileNotFoundError:  # another service made room
            return None

    # -- what is made ---------------------------------------------------------------------------------------------

    def _begun(self, asked: Subject, how: Kind, studies: Sequence[Reading]) -> tuple[Making, asyncio.Task[None]]:
        """Returns the making of the analysis: the one under way, or a new one."""
        if asked.etag not in self._making:
            if len(self._making) >= WAITING:
                raise Problem(
                    503, f"at most {WAITING} analyses may wait to be made, and so many do; try again in a minute",
                    wait=60,
                )  # fmt: skip
            making = Making(asked.etag, time.time())
            self._making[asked.etag] = making, asyncio.create_task(self._make(asked, how, tuple(studies)))
            self._topics[asked.topic] = asked.etag
            self._tell(asked, done=False)
        return self._making[asked.etag]

    async def _make(self, asked: Subject, how: Kind, studies: Sequence[Reading]) -> None:
        began, problem, held = time.monotonic(), None, [studies]
        del studies  # they may be large, and the process may be busy for long
        try:
            async with self._handed[how.long]:
                problem = await self._handed_over(asked, how, held.pop())
        except Exception as error:
            log.error("the %s of %s failed", asked.what, ", ".join(asked.names), exc_info=error)
            problem = Problem(500, f"the {asked.what} must be made, but failed; the service's log has the details")
        finally:
            del self._making[asked.etag]
            if self._topics.get(asked.topic) == asked.etag:
                del self._topics[asked.topic]
        now = time.monotonic()
        self._ends[asked.topic] = _End(asked.etag, now, now - began, problem)
        self._ends.move_to_end(asked.topic)
        while len(self._ends) > KNOWN:
            self._ends.popitem(last=False)
        self._tell(asked, done=True, sentence=None if problem is None else str(problem))
        await threads.made(self._shelf.tidy, self._threads)

    async def _handed_over(self, asked: Subject, how: Kind, studies: Sequence[Reading]) -> Problem | None:
        """Writes the studies down for a process, and has it make the analysis; returns the problem where it could not."""
        folder = self._shelf.folder(f"{asked.etag}-{uuid.uuid4().hex[:8]}")
        try:
            await threads.made(partial(handing.write, folder, studies), self._threads)
            del studies
            return await self._ordered(asked, how, str(folder))
        except OSError as error:
            why = error.strerror or one_line(error)
            return Problem(503, f"the service's cache folder must be writable, but: {why}; make room")
        finally:
            await threads.made(lambda: shutil.rmtree(folder, True), self._threads)

    async def _ordered(self, asked: Subject, how: Kind, folder: str) -> Problem | None:
        """Has a process make the analysis; returns the problem where it could not."""
        path = str(self._shelf.path(asked.etag, how.suffix))
        order = {
            "what": asked.what, "options": asked.options, "states": asked.states, "store": self._store, "folder": folder,
            "path": path,
        }  # fmt: skip
        try:
            answer = await self._pool.make(order, long=how.long)
        except pool.Lost as error:
            of = ", ".join(asked.names)
            return Problem(
                503, f"the {asked.what} of {of} was not made: its process {error}; ask again in half a minute",
                wait=RETRY_SECONDS,
            )  # fmt: skip
        return Problem(answer["status"], answer["error"]) if "error" in answer else None

    def _tell(self, asked: Subject, *, done: bool, sentence: str | None = None) -> None:
        news = News(asked.what, asked.names, asked.etag, done, sentence)
        for listener in self._listeners:
            if not listener.full():  # one that does not listen any more learns by asking
                listener.put_nowait(news)
