"""The threads in which answers are made, apart from those that wait for stores and clusters.

They share one interpreter with the event loop, so there are few; and what takes long has its own, so that what many ask
for never waits behind it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

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
