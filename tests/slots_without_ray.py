"""Slots without a cluster: the driver's loop with processes that are threads of this one, and die when they are told to."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.live.tune.loop import Loop
from hpo.live.tune.slot import Started
from hpo.live.tune.slots import Target
from hpo.worker.orders import Entry, Order, Orders, Reply


class Died(Exception):
    """What Ray raises for a process that has ended."""


class ThreadProcess:
    """A worker process as its slot sees it. `before` sees the orders of each call, and may raise Died."""

    def __init__(self, before: Callable[[Sequence[Order]], None]) -> None:
        self.work = SimpleNamespace(remote=lambda *arguments: SimpleNamespace(future=lambda: self._submit(*arguments)))
        self._before = before
        self._calls = ThreadPoolExecutor(max_workers=1)
        self._orders: Orders | None = None
        self._dead = ""

    def end(self) -> None:
        self._calls.shutdown(wait=True)

    def _submit(self, *arguments: Any) -> Future[Reply]:
        return self._calls.submit(self._work, *arguments)

    def _work(self, orders: Sequence[Order], seconds: float, entry: Entry | None) -> Reply:
        if self._dead:
            raise Died(self._dead)
        try:
            self._before(orders)
        except Died as death:
            self._dead = str(death)
            raise
        self._orders = self._orders or Orders(entry.known if entry else {}, {})
        reply = self._orders.work(orders, seconds)
        self._dead = reply.fault
        return reply


class ThreadKeeper:
    """Starts as many processes as are wanted, at once, of which each gets a number from 1 on."""

    def __init__(self, inbox: queue.SimpleQueue[Any], before: Callable[[int, Sequence[Order]], None]) -> None:
        self.wanted = self.coming = self.without_room = self.starts = 0
        self.processes: dict[str, ThreadProcess] = {}
        self._inbox, self._before = inbox, before

    def want(self, slots: int) -> None:
        self.wanted = slots
        while len(self.processes) < slots:
            self.starts += 1
            number, name = self.starts, f"slot-{self.starts}"
            self.processes[name] = ThreadProcess(partial(self._before, number))
            self._inbox.put(Started(name, self.processes[name], f"node-{number % 2}", f"here:{number}"))

    def give_back(self, name: str) -> None:
        self.processes.pop(name).end()


class Played:
    """A study played by the driver's loop: what it saw, and its keeper."""

    def __init__(
        self,
        dispatch: Dispatch,
        target: Target = lambda holds, wants: 1,
        before: Callable[[int, Sequence[Order]], None] = lambda number, orders: None,
    ) -> None:
        self.seen: list[Occupancy] = []
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.keeper: Any = ThreadKeeper(inbox, before)
        self.loop = Loop(
            dispatch, self.keeper, inbox, target, {}, lambda dispatch, occupancy: self.seen.append(occupancy)
        )
        try:
            self.loop.play()
        finally:
            for name in list(self.keeper.processes):
                self.keeper.give_back(name)
            dispatch.finish(complete=dispatch.finished)
