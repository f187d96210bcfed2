"""What a Tune actor runs: the process of a slot. Worker processes import it, so it imports neither store nor dispatch."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray import tune

from hpo.study import environment
from hpo.worker import mps
from hpo.worker.devices import hide_what_was_not_given
from hpo.worker.training import FAULT, Assignment, Report, Training

Order = Mapping[str, Any]
"""The fields of an Assignment, without those that the slot knows already."""


@dataclass
class Reply:
    """What came of a call to a slot's process: reports, each with its trial, in their order.

    `fault`: why the process cannot go on; it ends at its next call. `own`: whether the trial may be the cause: not where
    its device was unusable from the start, nor under MPS.
    """

    reports: list[tuple[str, Report]] = field(default_factory=list)
    fault: str = ""
    own: bool = False


class SlotWorker(tune.Trainable):
    """Trains the assignments that the driver hands over, one after the other, for as long as the slot exists.

    Tune starts and ends the process; the driver calls `enter` once and then `work`, again and again. A process that cannot
    compute any more first reports what it has trained and what is wrong, then ends. It frees nothing before, because calls
    to a dead device may never return.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._training: Training | None = None
        self._orders: list[Order] = []
        self._fault = ""

    def step(self) -> dict[str, Any]:
        """Says where the process is. Tune calls this once, when the process has started."""
        context = ray.get_runtime_context()
        return {
            "actor": context.current_actor,
            "node": context.get_node_id(),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
        }

    def enter(self, common: Order, shares: Mapping[str, float], variables: Mapping[str, str]) -> None:
        """Takes what all orders have in common, the slot's shares of its node, and environment variables."""
        os.environ.update(variables)
        hide_what_was_not_given(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        self._common = common
        ranks, cpus = int(shares["ranks"]), float(shares["rank_cpus"])
        told = mps.join(float(shares["gpus"]))
        self._news = {"node": environment.node(), **({"mps": told} if told else {})}

        def make(trainable: str, arguments: dict[str, Any]) -> Any:
            from hpo.worker.ranks import Ranks

            return Ranks(trainable, ranks, cpus, **arguments)

        self._make = make if ranks > 1 else None

    def work(self, orders: Sequence[Order], seconds: float) -> Reply:
        """Trains what it was given now and before: until nothing is left, or there is a report after `seconds`."""
        if self._fault:
            os._exit(1)
        self._orders += orders
        began, reply = time.monotonic(), Reply()
        while self._next() and not (reply.reports and time.monotonic() - began > seconds):
            assert self._training is not None
            report = self._training.step()
            if report.failure is not None and report.failure["kind"] == FAULT:
                self._fault = reply.fault = mps.suspect(report.failure["reason"])
                reply.own = self._training.built and not mps.shared()
                report = replace(report, failure=None, done=False)
            report.provenance |= self._news
            self._news = {}
            reply.reports.append((self._training.assignment.trial, report))
            self._busy = not report.done
            if self._fault:
                break
        return reply

    _busy = False  # whether the training under way is not done

    def _next(self) -> bool:
        """Begins the next order where the one before is done; False where none is left."""
        if not self._busy and self._orders:
            given = Assignment(**{**self._common, **self._orders.pop(0)})
            self._training = Training(given, self._training, self._make)
            self._busy = True
        return self._busy

    def cleanup(self) -> None:
        if self._training is not None:
            self._training.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Does nothing: the training writes its own checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Does nothing: the training reads its own checkpoints."""
