"""Watches studies for the live page: one reader a study however many look on, and none when nobody does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

Read = Callable[[str], dict[str, Any]]  # study -> its progress; runs in a thread


class Watch:
    """Hands each new state of a study to every listener, as JSON text.

    The store is read again `seconds` after the last reading, and no more than a fifth of the time: a store that takes
    long to read is read less often.
    """

    def __init__(self, read: Read, *, seconds: float = 2.0) -> None:
        self._read = read
        self._seconds = seconds
        self._states: dict[str, tuple[float, str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def states(self, study: str) -> AsyncIterator[str | None]:
        """The study's states, each when it comes; None when nothing changed, as a sign of life."""
        last: str | None = None
        while True:
            state, wait = await self._latest(study)
            yield state if state != last else None
            last = state
            await asyncio.sleep(wait)

    async def _latest(self, study: str) -> tuple[str, float]:
        """The newest state, read at most once for all listeners, and the seconds until the next one is due."""
        lock = self._locks.setdefault(study, asyncio.Lock())
        async with lock:
            due, state = self._states.get(study, (0.0, ""))
            if time.monotonic() >= due:
                began = time.monotonic()
                state = json.dumps(await asyncio.to_thread(self._read, study), allow_nan=False)
                took = time.monotonic() - began
                due = time.monotonic() + max(self._seconds, 4 * took)
                self._states[study] = (due, state)
        return state, max(0.05, due - time.monotonic())
