"""A driver's side of sharing: tells the arbiter what its study could use, and knows how many slots the study may hold."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cluster.errors import ClusterError, one_line
from cluster.sharing.arbiter import HEARTBEAT_SECONDS, NAME, NAMESPACE, Arbiter, claim_of
from cluster.sharing.shares import fair
from cluster.sharing.world import holds, look
from cluster.slots import Request

HEAD = {"node:__internal_head__": 0.001}
_BY_VALUE = threading.Lock()  # cloudpickle registers a package for the whole process
PATIENCE_SECONDS = 10.0  # for the arbiter's answer, before it counts as gone
REST_SECONDS = 0.2  # between two heartbeats at least
UNKNOWN_SECONDS = 60.0
WANTED_SECONDS = 5.0  # a study wants the most that it wanted in this time: a process costs as much to start again


class SharingError(ClusterError):
    """A cluster that tells nothing of its nodes."""


@dataclass(frozen=True)
class Ask:
    """A study's part in sharing that does not change while it runs.

    request: of one slot. priority: its weight. least, most: slots. grows: whether the autoscaler may be asked for nodes.
    """

    request: Request
    study: str
    owner: str = ""
    priority: float = 1.0
    least: int = 0
    most: int = 4096
    grows: bool = False


@dataclass(frozen=True)
class Share:
    """The arbiter's answer. nodes: how many slots on each node, None where any will do. others: who shares the cluster."""

    slots: int = 0
    nodes: Mapping[str, int] | None = None
    others: tuple[Mapping[str, Any], ...] = ()


class Sharing:
    """The study's share of a cluster, asked for once a second in a thread of its own, so that nobody waits for it.

    Without the arbiter, which comes back by itself, the study takes what is free and keeps what it has.
    """

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._id = secrets.token_hex(8)
        self._since = time.time()
        self._clock, self._began = clock, clock()
        self._wanted: deque[tuple[float, int]] = deque()
        self._holds: dict[str, int] = {}
        self._share: Share | None = None
        self._told = 0  # what the study wanted at the last heartbeat
        self._error = ""
        self._over, self._more = threading.Event(), threading.Event()
        self._arbiter: Any = None
        self._thread = threading.Thread(target=self._beat, name="sharing", daemon=True)
        self._thread.start()

    @property
    def share(self) -> Share:
        """The last answer; no slots before the first."""
        return self._share or Share()

    def target(self, holds: Mapping[str, int], wants: int) -> int:
        """Returns how many slots the study may hold now; `holds` maps nodes to its slots there. Never blocks.

        Raises SharingError where nothing was to be learned of the cluster's nodes for a minute from the start.
        """
        now = self._clock()
        if self._share is None and self._error and now - self._began > UNKNOWN_SECONDS:
            raise SharingError(f"the cluster must tell what its nodes have, but does not: {self._error}")
        self._wanted.append((now, wants))
        if wants > self._told:
            self._more.set()
        while self._wanted[0][0] < now - WANTED_SECONDS:
            self._wanted.popleft()
        share, self._holds = self.share, dict(holds)
        if share.nodes is None:
            return share.slots
        rightly = sum(min(count, share.nodes.get(node, 0)) for node, count in holds.items())
        return rightly if rightly < sum(holds.values()) else share.slots

    def spare(self, node: str) -> bool:
        """Returns whether a slot on this node should be given back before one on another.

        Where studies ask for unlike slots, it matters which: two single GPUs on two nodes make no room for two on one.
        """
        nodes = self.share.nodes
        return nodes is not None and self._holds.get(node, 0) > nodes.get(node, 0)

    def close(self) -> None:
        """Leaves, so that the others get this study's share at once."""
        self._over.set()
        self._more.set()
        self._thread.join(2 * HEARTBEAT_SECONDS)
        with suppress(Exception):
            import ray

            ray.get(self._arbiter.leave.remote(self._id), timeout=HEARTBEAT_SECONDS)

    def _beat(self) -> None:
        """Sends a heartbeat once a second, and at once where the study could use more."""
        with suppress(Exception):
            self._arbiter = arbiter()
        while not self._over.is_set():
            self._more.wait(HEARTBEAT_SECONDS)
            self._more.clear()
            if not self._wanted:
                continue
            try:
                self._share = self._answer()
            except Exception:  # whatever is wrong with the arbiter, a study goes on
                if self._over.is_set():
                    return  # any call after the end of the connection would start a cluster of its own
                self._arbiter = None
                self._go_alone()
            self._over.wait(REST_SECONDS)

    def _go_alone(self) -> None:
        try:
            self._share = self._alone()
        except Exception as error:
            self._error = one_line(error)

    def _answer(self) -> Share:
        import ray

        if self._arbiter is None:
            self._arbiter = arbiter()
        told = ray.get(self._arbiter.heartbeat.remote(self._message()), timeout=PATIENCE_SECONDS)
        return Share(told["slots"], told["nodes"], tuple(told["others"]))

    def _alone(self) -> Share:
        """What the study may hold where nobody divides the cluster: what it has, and what is free."""
        message, nodes = self._message(), look()
        claim = claim_of(message, holds(nodes, message["job"]))
        plan = fair([node.for_jobs([message["job"]]) for node in nodes], [claim])
        return Share(sum(plan[claim.id].values()))

    def _message(self) -> dict[str, Any]:
        import ray

        ask = self._ask
        self._told = max((wants for _, wants in tuple(self._wanted)), default=0)
        return {
            "id": self._id, "job": ray.get_runtime_context().get_job_id(), "study": ask.study, "owner": ask.owner,
            "bundles": [dict(bundle) for bundle in ask.request.bundles], "labels": dict(ask.request.labels),
            "wants": self._told, "weight": ask.priority,
            "least": ask.least, "most": ask.most, "grows": ask.grows, "since": self._since,
        }  # fmt: skip


def arbiter() -> Any:
    """Returns the cluster's arbiter, and starts it where there is none."""
    import ray
    from ray import cloudpickle

    import cluster

    with _BY_VALUE:
        cloudpickle.register_pickle_by_value(cluster)  # a head without this project can run it too
        try:
            remote = ray.remote(Arbiter).options(
                name=NAME,
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                num_cpus=0,
                resources=HEAD,
                max_restarts=-1,
            )
            return remote.remote()
        finally:
            cloudpickle.unregister_pickle_by_value(cluster)
