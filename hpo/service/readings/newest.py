"""The newest value of something that changes by itself: one look for all who ask, none while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Kind = TypeVar("Kind")

REST = 4  # times as long as a look took passes before the next one: a slow store is looked at less often


class Newest(Generic[Kind]):
    """What `look` returns, at most so many seconds old. `look` blocks; it runs in `threads`, once at a time.

    While somebody listens, looks follow each other, and whoever asks gets the last one's value at once. An error is kept as
    long as a value: a store that is away is not asked by everybody. Belongs to one event loop.
    """

    def __init__(self, look: Callable[[], Kind], threads: Executor, seconds: float) -> None:
        self._look, self._threads, self._seconds = look, threads, seconds
        self._value: Kind | None = None
        self._error: Exception | None = None
        self._due = 0.0
        self._outdated = True
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._listeners = 0
        self._news = asyncio.Event()

    @property
    def value(self) -> Kind | None:
        """The last look's value, without a look."""
        return self._value

    @property
    def watched(self) -> bool:
        """Whether somebody listens, or waits for a look."""
        return self._listeners > 0 or (self._looking is not None and not self._looking.done())

    def forget(self) -> None:
        """Has the next who asks wait for a look that begins after this call."""
        self._outdated = True

    async def now(self) -> Kind:
        """Returns the value. Raises what the look raised."""
        while self._outdated or (time.monotonic() >= self._due and not (self._listeners and self._value is not None)):
            await self._looked()
        return self._result()

    async def changes(self) -> AsyncIterator[Kind]:
        """Yields the value, then each new one; of several between two steps of the listener only the last.

        Raises what a look raised.
        """
        self._listeners += 1
        try:
            last = await self.now()
            if self._watching is None or self._watching.done():
                self._watching = asyncio.create_task(self._watch())
            yield last
            while True:
                news = self._news
                current = self._result()
                if current is not last:
                    last = current
                    yield last
                else:
                    await news.wait()
        finally:
            self._listeners -= 1
            if not self._listeners and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    def _result(self) -> Kind:
        if self._error is not None:
            raise self._error.with_traceback(None)  # many raise it, each with a traceback of its own
        assert self._value is not None
        return self._value

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(max(0.05, self._due - time.monotonic()))
            await self._looked()

    async def _looked(self) -> None:
        """Returns after a look: the one under way, or a new one. It goes on even if those who wait for it hang up."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._once())
        await asyncio.wait([self._looking])

    async def _once(self) -> None:
        began, before = time.monotonic(), (self._value, self._error)
        self._outdated = False
        try:
            value, error = await asyncio.get_running_loop().run_in_executor(self._threads, self._look), None
        except Exception as caught:
            value, error = None, caught
        now = time.monotonic()
        self._due = now + max(self._seconds, REST * (now - began))
        self._value, self._error = value, error
        if value is not before[0] or error is not None:
            self._news.set()
            self._news = asyncio.Event()
