"""A process that looks at studies' texts, one at a time, so that no request waits for another's: see drafts."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import TYPE_CHECKING

from hpo.service.problems import Problem

if TYPE_CHECKING:
    from hpo.service.submitting.drafts import Examined, Options
    from hpo.service.submitting.rules import Rules

TEXT_BYTES = 256 * 1024  # of a study's text: its reader needs about a second for it
SECONDS = 60.0  # of a check, the import of PyTorch included
WAITING = 16  # checks at a time, beyond which one is refused


class Checker:
    """Looks at texts in a process of its own, which starts with the first one. Stops, and starts anew, after a check that
    takes too long."""

    def __init__(self, rules: Rules, *, seconds: float = SECONDS) -> None:
        self.rules, self._seconds = rules, seconds
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def examine(
        self, text: str, options: Options, *, folder: str | None = None, owner: str | None = None
    ) -> Examined:
        """Returns what is found. Raises Problem for a text that is too long, or takes too long, and for too many at a time."""
        size = len(text.encode("utf-8", "surrogateescape"))
        if size > TEXT_BYTES:
            raise Problem(413, f"a study's text must have at most {TEXT_BYTES:,} bytes, but has {size:,}")
        if self._waiting >= WAITING:
            raise Problem(
                429, "other studies are being checked; ask again in a few seconds", headers={"Retry-After": "2"}
            )
        self._waiting += 1
        try:
            async with self._turn:
                return await self._examined(text, folder, options, owner)
        finally:
            self._waiting -= 1

    async def _examined(self, text: str, folder: str | None, options: Options, owner: str | None) -> Examined:
        from hpo.service.submitting.drafts import examine

        for last in (False, True):
            self._pool = pool = self._pool or _pool()
            asked = pool.submit(examine, text, folder, self.rules, options, owner)
            try:
                return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), self._seconds)
            except TimeoutError:
                self.close()
                raise Problem(
                    422, f"a study must be checked within {self._seconds:g} s, but was not; make it smaller"
                ) from None
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):  # the next one waits for its end, as it would have for its result
                    await asyncio.wait_for(asyncio.wrap_future(asked), self._seconds)
                raise
            except BrokenProcessPool:  # killed, for its memory say
                self.close()
                if last:
                    raise Problem(
                        422, "a study must be checked in one process's memory, but its process was killed"
                    ) from None
        raise AssertionError

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


def _begin() -> None:
    """Lets the process be kind to others, and end with the service, however that ends."""
    os.nice(5)
    threading.Thread(target=_end_with_parent, daemon=True, name="end with the service").start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)
