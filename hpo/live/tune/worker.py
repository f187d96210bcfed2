"""What a Tune actor runs: the process of a slot. Worker processes import it, so it imports neither store nor dispatch."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

import ray
from ray import tune

from hpo.study import environment
from hpo.worker import mps
from hpo.worker.devices import hide_what_was_not_given
from hpo.worker.orders import Entry, Order, Orders, Reply


class SlotWorker(tune.Trainable):
    """Trains the orders that the driver gives, for as long as the slot exists.

    Tune starts and ends the process; the driver calls `work`, again and again. A process that cannot
    compute any more first replies what it has trained and what is wrong, and ends at its next call. It frees nothing
    before, because calls to a dead device may never return.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._orders: Orders | None = None
        self._fault = False

    def step(self) -> dict[str, Any]:
        """Says where the process is. Tune calls this once, when the process has started."""
        context = ray.get_runtime_context()
        worker = f"{socket.gethostname()}:{os.getpid()}"
        return {"actor": context.current_actor, "node": context.get_node_id(), "worker": worker}

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
        hide_what_was_not_given(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        ranks, cpus = int(entry.shares["ranks"]), float(entry.shares["rank_cpus"])
        told = mps.join(float(entry.shares["gpus"]))

        def make(trainable: str, arguments: dict[str, Any]) -> Any:
            from hpo.worker.ranks import Ranks

            return Ranks(trainable, ranks, cpus, **arguments)

        news = {"node": environment.node(), **({"mps": told} if told else {})}
        return Orders(entry.known, news, make if ranks > 1 else None)

    def cleanup(self) -> None:
        if self._orders is not None:
            self._orders.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Does nothing: the training writes its own checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Does nothing: the training reads its own checkpoints."""
