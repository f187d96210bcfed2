"""What is made once and asked for by many, in threads and on the event loop. Pure."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

Kind = TypeVar("Kind")


class Once:
    """Values by key, each made by the first who asks for it; whoever asks meanwhile waits for the same one.

    An error is raised to all who waited for it, and the next who asks tries again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Hashable, Future[Any]] = {}

    def once(self, key: Hashable, make: Callable[[], Kind]) -> Kind:
        """Returns the key's value; blocks while it is made."""
        future, mine = self._entry(key)
        if mine:
            self._make(key, make, future)
        return cast(Kind, future.result())

    async def later(self, key: Hashable, make: Callable[[], Kind]) -> Kind:
        """Returns the key's value, made in a thread; those who wait for it occupy none."""
        future, mine = self._entry(key)
        if mine:
            # Shielded: others wait for the value even if this caller is cancelled, as a client that hangs up is.
            await asyncio.shield(asyncio.to_thread(self._make, key, make, future))
        elif not future.done():
            there = asyncio.Event()
            future.add_done_callback(partial(_wake, asyncio.get_running_loop(), there))
            await there.wait()
        return cast(Kind, future.result())

    @property
    def nbytes(self) -> int:
        """About how much memory the values take: that of texts and of arrays, and little for others."""
        with self._lock:
            found = [future for future in self._found.values() if future.done() and future.exception() is None]
        return sum(_size(future.result()) for future in found)

    def _entry(self, key: Hashable) -> tuple[Future[Any], bool]:
        with self._lock:
            known = self._found.get(key)
            if known is None:
                return self._found.setdefault(key, Future()), True
            return known, False

    def _make(self, key: Hashable, make: Callable[[], Any], future: Future[Any]) -> None:
        try:
            future.set_result(make())
        except BaseException as error:
            with self._lock:
                del self._found[key]
            future.set_exception(error)


def _wake(loop: asyncio.AbstractEventLoop, there: asyncio.Event, made: Future[Any]) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(there.set)


def _size(value: Any) -> int:
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    if isinstance(value, dict):
        return sum(_size(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(_size(item) for item in value[:1]) * len(value)  # rows are alike
    return sys.getsizeof(value)
