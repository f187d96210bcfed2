"""A worker process's orders: trained one after the other, and answered with packed reports. Imports neither ray nor torch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hpo.worker import mps
from hpo.worker.training import FAULT, Assignment, Make, Report, Training

Order = Mapping[str, Any]
"""The fields of an Assignment, without those that all orders of a study have in common."""

COMMON = ("task", "checkpoints", "within", "packed")  # what those are, exams aside
FIELDS = tuple(entry.name for entry in fields(Assignment))


def common(given: Assignment) -> Order:
    """Returns what the orders of the assignment's study have in common."""
    return {name: getattr(given, name) for name in COMMON}


def order(given: Assignment, known: Order) -> Order:
    """Returns the assignment without what is `known`; compares identities, because a task is large."""
    values = {name: getattr(given, name) for name in FIELDS}
    return {name: value for name, value in values.items() if name not in known or value is not known[name]}


@dataclass(frozen=True)
class Entry:
    """What a process is told first: what all orders have in common, its slot's shares of its node, environment variables.

    `codes`: of a trainable that was given as an object, for `trainables.given.receive`.
    """

    known: Order
    shares: Mapping[str, float]
    variables: Mapping[str, str]
    codes: Mapping[str, bytes]


@dataclass
class Reply:
    """What came of some orders: reports, each with its trial, in their order.

    `fault`: why the process cannot go on; it must end. `own`: whether the trial may be the cause: not where its device was
    unusable from the start, nor under MPS.
    """

    reports: list[tuple[str, Report]] = field(default_factory=list)
    fault: str = ""
    own: bool = False


class Orders:
    """Trains orders, one after the other. `news`: the process's provenance, which its first report tells."""

    def __init__(self, known: Order, news: Mapping[str, str], make: Make | None = None) -> None:
        self._known, self._news, self._make = known, dict(news), make
        self._waiting: deque[Order] = deque()
        self._training: Training | None = None
        self._busy = False  # whether the training under way is not done

    def work(self, orders: Sequence[Order], seconds: float) -> Reply:
        """Trains what it was given, now and before: until nothing is left, or there is a report after `seconds`."""
        self._waiting.extend(orders)
        began, reply = time.monotonic(), Reply()
        while not (reply.reports and time.monotonic() - began > seconds) and not reply.fault:
            training = self._current()
            if training is None:
                break
            report = training.step()
            if report.failure is not None and report.failure["kind"] == FAULT:
                reply.fault = mps.suspect(report.failure["reason"])
                reply.own = training.built and not mps.shared()
                report = replace(report, failure=None, done=False)
            report.provenance |= self._news
            self._news = {}
            reply.reports.append((training.assignment.trial, report))
            self._busy = not report.done
        return reply

    def close(self) -> None:
        """Frees what the training holds."""
        if self._training is not None:
            self._training.close()

    def _current(self) -> Training | None:
        """Returns the training under way, or begins the next order; None where none is left."""
        if not self._busy:
            if not self._waiting:
                return None
            given = Assignment(**{**self._known, **self._waiting.popleft()})
            self._training, self._busy = Training(given, self._training, self._make), True
        return self._training
