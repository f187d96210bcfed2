"""A few warm processes that make analyses, one order at a time each; one that dies or hangs is replaced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import hpo
from hpo.text import duration

MOST = 4  # processes: each takes some 250 MB
NICE = 15  # a driver on the same machine keeps its speed, and a busy machine gives some twentieth of a core
START_SECONDS = 300.0  # on a machine that is busy otherwise: they have a low priority
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")

Order = tuple[bool, int, Mapping[str, Any], "asyncio.Future[dict[str, Any]]"]


class Lost(Exception):
    """A process that ended, or had to be ended, without an answer; the message says why."""


def processes() -> int:
    """Returns how many processes a service should have: one core is left to others."""
    return max(1, min(MOST, len(os.sched_getaffinity(0)) - 1))


class Pool:
    """Hands orders to the processes: short ones first, then in the order in which they came."""

    def __init__(self, size: int, limit: float, nice: int = NICE) -> None:
        self._size, self._limit, self._nice = size, limit, nice
        self._numbers = count()
        self._orders: asyncio.PriorityQueue[Order] = asyncio.PriorityQueue()
        self._servants: list[_Servant] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts serving; the first process begins to warm up, others start when there is something to do."""
        self._servants = [_Servant(self._limit, self._nice) for _ in range(self._size)]
        self._tasks = [asyncio.create_task(self._serve(servant)) for servant in self._servants]
        self._tasks.append(asyncio.create_task(self._servants[0].prepare()))

    async def close(self) -> None:
        """Ends the processes, whatever they are at."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for servant in self._servants:
            await servant.end()

    @property
    def waiting(self) -> int:
        """The number of orders that no process has begun."""
        return self._orders.qsize()

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that live."""
        return [servant.pid for servant in self._servants if servant.pid is not None]

    async def make(self, order: Mapping[str, Any], *, long: bool) -> dict[str, Any]:
        """Returns a process's answer to the order. Raises Lost."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._orders.put_nowait((long, next(self._numbers), order, answer))
        return await answer

    async def _serve(self, servant: _Servant) -> None:
        while True:
            _, _, order, answer = await self._orders.get()
            if answer.cancelled():
                continue
            try:
                found = await servant.ask(order)
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error if isinstance(error, Lost) else Lost(f"could not be started: {error}"))
            else:
                if not answer.done():
                    answer.set_result(found)


class _Servant:
    """One process, started when it is needed and again after it is lost."""

    def __init__(self, limit: float, nice: int) -> None:
        self._limit, self._nice = limit, nice
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The number of the process, None without a live one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def prepare(self) -> None:
        """Starts the process before it is needed; a failure shows when it is."""
        with suppress(Lost, OSError):
            async with self._lock:
                await self._ready()

    async def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the process's answer. Raises Lost."""
        async with self._lock:
            process = await self._ready()
            assert process.stdin is not None
            with suppress(OSError):  # it has just ended: the answer that does not come tells
                process.stdin.write(json.dumps(order).encode() + b"\n")
                await process.stdin.drain()
            return await self._answer(process, self._limit)

    async def end(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        root = str(Path(hpo.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hpo.service.analysis.process", str(self._nice),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, process_group=0,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        await self._answer(self._process, START_SECONDS)
        return self._process

    async def _answer(self, process: asyncio.subprocess.Process, limit: float) -> dict[str, Any]:
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), limit)
        except TimeoutError:
            await self.end()
            raise Lost(f"took longer than {duration(limit)} and was stopped") from None
        except asyncio.CancelledError:
            await self.end()
            raise
        if not line.endswith(b"\n"):
            code = await process.wait()
            self._process = None
            raise Lost(f"ended early ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})")
        return dict(json.loads(line))
