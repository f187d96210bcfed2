"""A slot of the cluster, as the driver sees it: a process, what it was given and has not done, the calls under way to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import ray

from hpo.worker.orders import Entry, Order, Reply, common, order
from hpo.worker.training import Assignment, Report
from trainables import given

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
CALLS = 2  # under way to a slot that has work for longer than one: it never waits for the driver


@dataclass(frozen=True)
class Started:
    """A process that has started, for Tune's trial `name`: its actor, the id of its node, HOST:PID."""

    name: str
    actor: Any
    node: str
    worker: str


@dataclass(frozen=True)
class Answered:
    """A call to a slot's process has ended: with its reply, or because the process has."""

    name: str
    future: Future[Any]


class Slot:
    """Hands orders to its process and knows which are under way. `post` takes an Answered for each call, in any thread."""

    def __init__(self, started: Started, shares: Mapping[str, float], post: Callable[[Answered], None]) -> None:
        self.name, self.node, self.worker = started.name, started.node, started.worker
        self.running: dict[str, Assignment] = {}  # by trial, in the order in which they were given
        self.leaving = False  # it gets nothing more, and its process ends when it has done what it has
        self.fault = ""  # why its process is about to end
        self._actor, self._shares, self._post = started.actor, shares, post
        self._left: dict[str, int] = {}  # trial -> epochs to train
        self._known: Order | None = None  # what its process has been told that all orders have in common
        self._calls = 0

    @property
    def epochs(self) -> int:
        """The epochs that it has yet to train, as far as is known."""
        return sum(self._left.values())

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do, and no call is under way."""
        return not (self.running or self._calls)

    def give(self, batch: Sequence[Assignment], seconds: float) -> None:
        """Hands assignments over, to be trained after those that it has; it reports every `seconds`, or when it has done them."""
        entry = None
        if self._known is None:
            self._known = common(batch[0])
            variables = {name: os.environ[name] for name in CREDENTIALS if name in os.environ}
            entry = Entry(self._known, dict(self._shares), variables, given.codes(batch[0].task["trainable"]))
        for one in batch:
            self.running[one.trial] = one
            self._left[one.trial] = max(1, one.stop - one.known)
        self._call([order(one, self._known) for one in batch], seconds, entry)

    def answered(self, future: Future[Any]) -> Reply:
        """Takes the answer to a call. Raises Ray's error where the process has ended."""
        self._calls -= 1
        reply: Reply = future.result()
        return reply

    def reported(self, trial: str, report: Report) -> Assignment:
        """Notes what of an assignment is done; returns the assignment."""
        if report.done:
            self._left.pop(trial)
            return self.running.pop(trial)
        self._left[trial] = max(1, self._left[trial] - len(report.records))
        return self.running[trial]

    def go_on(self, seconds: float, expected: float) -> None:
        """Lets it go on with what it has. `expected`: the seconds that this will take."""
        while self.running and self._calls < (CALLS if expected > seconds else 1):
            self._call([], seconds)

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        ray.kill(self._actor)

    def _call(self, orders: list[Order], seconds: float, entry: Entry | None = None) -> None:
        self._calls += 1
        future: Future[Any] = self._actor.work.remote(orders, seconds, entry).future()
        future.add_done_callback(lambda done: self._post(Answered(self.name, done)))
