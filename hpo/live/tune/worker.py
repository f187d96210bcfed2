"""The process of a slot. Workers import it while a study starts, so it imports neither Tune nor store nor dispatch."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ray

from hpo.study import environment
from hpo.worker import mps
from hpo.worker.devices import hide_what_was_not_given
from hpo.worker.orders import Entry, Order, Orders, Reply
from trainables import given


class SlotWorker:
    """Trains the orders that the driver gives, for as long as the slot exists.

    Tune starts and ends the process; the driver calls `work`, again and again. A process that cannot
    compute any more first replies what it has trained and what is wrong, and ends at its next call. It frees nothing
    before, because calls to a dead device may never return.

    It has what Tune calls of a Trainable, and is none: Tune would take the process most of a second to import. `folder`:
    where it works, so that files that a trainable writes to its working folder meet no others.
    """

    def __init__(self, folder: str) -> None:
        with suppress(OSError):  # a node whose sessions lie elsewhere
            os.makedirs(folder, exist_ok=True)
            os.chdir(folder)
        self._orders: Orders | None = None
        self._fault = False

    def train(self) -> dict[str, Any]:
        """Says where the process is. Tune calls this once, when the process has started."""
        context = ray.get_runtime_context()
        worker = f"{socket.gethostname()}:{os.getpid()}"
        return {"done": False, "actor": context.current_actor, "node": context.get_node_id(), "worker": worker}

    def work(self, orders: Sequence[Order], seconds: float, entry: Entry | None = None) -> Reply:
        """Trains; see Orders.work. The first call has the `entry`."""
        if self._fault:
            os._exit(1)
        if entry is not None:
            self._orders = self._entered(entry)
        assert self._orders is not None
        reply = self._orders.work(orders, seconds)
        self._fault = bool(reply.fault)
        return reply

    def _entered(self, entry: Entry) -> Orders:
        os.environ.update(entry.variables)
        given.receive(entry.codes)
        hide_what_was_not_given(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        ranks, cpus = int(entry.shares["ranks"]), float(entry.shares["rank_cpus"])
        told = mps.join(float(entry.shares["gpus"]))

        def make(trainable: str, arguments: dict[str, Any]) -> Any:
            from hpo.worker.ranks import Ranks

            return Ranks(trainable, ranks, cpus, **arguments)

        news = {"node": environment.node(), **({"mps": told} if told else {})}
        return Orders(entry.known, news, make if ranks > 1 else None)

    def get_auto_filled_metrics(self, debug_metrics_only: bool) -> dict[str, Any]:
        """Returns nothing: it is what Tune takes for a result before there is one."""
        return {}

    def stop(self) -> None:
        """Frees what the training holds. Tune calls this before it ends the process."""
        if self._orders is not None:
            self._orders.close()
