"""A process that looks at studies' texts, one at a time, so that no request waits for another's: see drafts."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import connection
from typing import Any, TypeVar

from hpo.service.context import Settings
from hpo.service.problems import Problem
from hpo.service.submitting.examined import Examined
from hpo.service.submitting.options import Options
from hpo.service.submitting.rules import Rules
from hpo.storage.place import absolute

TEXT_BYTES = 256 * 1024  # of a study's text: its reader needs about a second for it
SECONDS = 60.0  # of a check, the import of PyTorch included
WAITING = 16  # checks at a time, beyond which one is refused
T = TypeVar("T")


def rules_of(settings: Settings) -> Rules:
    """Returns what studies may name."""
    return Rules(
        absolute(settings.store), settings.allow_code, settings.trainables, settings.data_roots, settings.stores
    )


class Checker:
    """Looks at texts in a process of its own, which starts with the first one. A check that takes too long ends it."""

    def __init__(self, settings: Settings, *, seconds: float = SECONDS) -> None:
        self.rules, self._seconds = rules_of(settings), seconds
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._schema: bytes | None = None

    async def examine(
        self, text: str, options: Options, *, folder: str | None = None, owner: str | None = None
    ) -> Examined:
        """Returns what is found. Raises Problem for a text that is too long, or takes too long, and for too many at a time."""
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > TEXT_BYTES:
            raise Problem(413, f"a study's text must have at most {TEXT_BYTES:,} bytes, but has {size:,}")
        return await self._ran(_examine, text, folder, self.rules, options, owner)

    async def schema(self) -> bytes:
        """Returns the JSON schema of a study file, made once: naming the models takes PyTorch."""
        if self._schema is None:
            from hpo.service.submitting.schema import encoded

            self._schema = await self._ran(encoded, self.rules.trainables)
        return self._schema

    async def _ran(self, call: Callable[..., T], *arguments: Any) -> T:
        if self._waiting >= WAITING:
            raise Problem(429, "other studies are being checked; ask again in a few seconds", wait=2)
        self._waiting += 1
        try:
            async with self._turn:
                try:
                    return await self._once(call, *arguments)
                except BrokenProcessPool:  # killed from outside
                    self.close()
                    return await self._once(call, *arguments)
        except BrokenProcessPool:  # again, so that its memory is the likely cause
            self.close()
            raise Problem(
                422, "a study must be checked in the memory that there is, but its check was killed"
            ) from None
        finally:
            self._waiting -= 1

    async def _once(self, call: Callable[..., T], *arguments: Any) -> T:
        self._pool = self._pool or _pool()
        asked = asyncio.wrap_future(self._pool.submit(call, *arguments))
        try:
            return await asyncio.wait_for(asyncio.shield(asked), self._seconds)
        except TimeoutError:
            self.close()
            raise Problem(
                422, f"a study must be checked within {self._seconds:g} s, but was not; make it smaller"
            ) from None
        except asyncio.CancelledError:  # whoever asked has gone; the process has not, and others wait for it
            with contextlib.suppress(Exception):
                await asyncio.wait_for(asked, self._seconds)
            raise

    def close(self) -> None:
        """Ends the process."""
        pool, self._pool = self._pool, None
        if pool is not None:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


def _examine(text: str, folder: str | None, rules: Rules, options: Options, owner: str | None) -> Examined:
    """Looks at a text in this process. After a study of images PyTorch stays here, so that the next check need not fetch it."""
    from hpo.service.submitting.drafts import examine
    from trainables import DECLARED

    found = examine(text, folder, rules, options, owner)
    if "torch" not in sys.modules and any(work.trainable in DECLARED for work in found.work):
        threading.Thread(target=_fetch, daemon=True, name="fetch PyTorch").start()
    return found


def _fetch() -> None:
    with contextlib.suppress(ImportError):
        import_module("torch")


def _begin() -> None:
    """Lets the process be kind to others, and end with the service, however that ends."""
    os.nice(5)
    threading.Thread(target=_end_with_parent, daemon=True, name="end with the service").start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)
