"""Watches studies for the live page: one reader a study for any number of listeners, none without a listener."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

Read = Callable[[str], dict[str, Any]]  # study -> its progress; runs in a thread


class Watch:
    """Hands each new state of a study to every listener, as JSON text.

    The watch waits `seconds` between two readings of the store, and at least four times as long as a reading took: a
    slow store is read less often.
    """

    def __init__(self, read: Read, *, seconds: float = 2.0) -> None:
        self._read = read
        self._seconds = seconds
        self._states: dict[str, tuple[float, str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def states(self, study: str) -> AsyncIterator[str | None]:
        """Yields each new state of the study; None, as a sign of life, if nothing changed since the last reading."""
        last: str | None = None
        while True:
            state, wait = await self._latest(study)
            yield state if state != last else None
            last = state
            await asyncio.sleep(wait)

    async def _latest(self, study: str) -> tuple[str, float]:
        """Returns the newest state, read once for all listeners, and the seconds until the next reading."""
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
