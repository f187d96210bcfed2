"""The threads in which answers are made, apart from those that wait for stores and clusters.

They share one interpreter with the event loop, so there are few; and what takes long has its own, so that what many ask
for never waits behind it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from hpo.store import schema

Kind = TypeVar("Kind")

SHORT = ThreadPoolExecutor(4, "answers")
LONG = ThreadPoolExecutor(2, "long answers")
SWITCH_SECONDS = (
    0.0005  # after which a thread that computes lets the event loop go on: Python's 0.005 add up in an answer
)


async def made(make: Callable[[], Kind], threads: Executor = LONG) -> Kind:
    """Returns what `make` returns; it runs in a thread."""
    return await asyncio.get_running_loop().run_in_executor(threads, make)


class Unawaited(Executor):
    """At most so many threads, for which the end of the process does not wait: what they do may be cut at any moment."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock, self._free, self._threads = threading.Lock(), threading.Semaphore(0), 0

    def submit(self, call: Callable[..., Kind], /, *arguments: Any, **options: Any) -> Future[Kind]:
        """Returns the future value of a call, which a free thread makes, or a new one, or the next that is free."""
        future: Future[Kind] = Future()
        self._calls.put((future, partial(call, *arguments, **options)))
        with self._lock:
            if not self._free.acquire(blocking=False) and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._serve, daemon=True, name=self._name).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Ends each thread after the calls that are there, and waits for none."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _serve(self) -> None:
        while (found := self._calls.get()) is not None:
            future, call = found
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)
            del found, future, call  # a thread that waits keeps no value
            self._free.release()


def prepare() -> None:
    """Prepares this process for many readers: threads that compute make way for the event loop, and what is loaded stays."""
    sys.setswitchinterval(SWITCH_SECONDS)
    SHORT.submit(_settle)


def _settle() -> None:
    """Loads what the first reader would wait for, and spares it from garbage collection.

    Each full one halts every answer for a tenth of a second, and nearly all that it looks through are modules.
    """
    schema.to_table("runs", [], {})  # the library loads much for its first table
    gc.collect()
    gc.freeze()
