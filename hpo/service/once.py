"""What is made once and asked for by many, in threads and on the event loop. Pure."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from hpo.service import threads

Kind = TypeVar("Kind")

MEMORY = 128 * 2**20
LEAST = 200  # bytes of a value with its key


class Once:
    """Values by key, each made by the first who asks for it; whoever asks meanwhile waits for the same one.

    An error is raised to all who waited for it, and the next who asks tries again. memory: about how many bytes of values
    are kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._lock = threading.Lock()
        self._memory = memory
        self._found: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}

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
            await asyncio.shield(threads.made(partial(self._make, key, make, future), threads.SHORT))
        elif not future.done():
            there = asyncio.Event()
            future.add_done_callback(partial(_wake, asyncio.get_running_loop(), there))
            await there.wait()
        return cast(Kind, future.result())

    def found(self, key: Hashable) -> Any:
        """Returns the key's value if it is there, else None."""
        future = self._found.get(key)
        return future.result() if future is not None and future.done() and future.exception() is None else None

    @property
    def nbytes(self) -> int:
        """About how many bytes the values take."""
        return sum(list(self._sizes.values()))

    def _entry(self, key: Hashable) -> tuple[Future[Any], bool]:
        with self._lock:
            known = self._found.get(key)
            if known is None:
                return self._found.setdefault(key, Future()), True
            self._found.move_to_end(key)
            return known, False

    def _make(self, key: Hashable, make: Callable[[], Any], future: Future[Any]) -> None:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._found[key]
            future.set_exception(error)
        else:
            self._keep(key, LEAST + size(value))
            future.set_result(value)

    def _keep(self, key: Hashable, needed: int) -> None:
        """Notes how large a value is, and lets go of others where there are too many. Those who have them keep them."""
        with self._lock:
            self._sizes[key] = needed
            for other in [other for other in self._found if other in self._sizes and other != key]:
                if sum(self._sizes.values()) <= self._memory:
                    return
                del self._found[other], self._sizes[other]


def _wake(loop: asyncio.AbstractEventLoop, there: asyncio.Event, made: Future[Any]) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(there.set)


def size(value: Any, depth: int = 4) -> int:
    """Returns about how many bytes a value takes: those of texts, tables and arrays in it, and little for the rest."""
    known = getattr(value, "nbytes", None)
    if isinstance(known, int):
        return known
    if isinstance(value, Mapping) or (depth and hasattr(value, "__dict__")):
        parts = value if isinstance(value, Mapping) else vars(value)
        return sum(size(part, depth - 1) for part in parts.values()) if depth else LEAST
    if isinstance(value, list | tuple) and value and depth:
        return size(value[0], depth - 1) * len(value)  # rows are alike
    return sys.getsizeof(value)
