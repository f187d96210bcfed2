"""What the nodes have, what studies hold of it, and what other work does: one question to Ray's control service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.slots import NodeResources

GROUP = re.compile(r"(?P<resource>.+)_group_(?P<group>[0-9a-f]{36})")  # what a placement group has reserved on a node
JOB_DIGITS = 8  # a placement group's id ends with the id of the job that made it
OURS = 0.01  # what the arbiter itself and rounding take: not worth a node
STATUS = "__autoscaling_status"  # where the first autoscaler, or the monitor in its place, reports


@dataclass(frozen=True)
class Seen:
    """A node: its resources and labels, what is free, and what each job's placement groups have reserved there.

    groups: job -> placement group -> resource -> amount. instance: its name with the autoscaler (2) that keeps it, or empty.
    """

    id: str
    total: Mapping[str, float]
    free: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    instance: str = ""

    def for_jobs(self, jobs: Iterable[str]) -> NodeResources:
        """Returns what is free here for the jobs together: what nobody has, and what they have already."""
        free = dict(self.free)
        for job in jobs:
            for amounts in self.groups.get(job, {}).values():
                for name, amount in amounts.items():
                    free[name] = free.get(name, 0) + amount
        return NodeResources(id=self.id, total=self.total, labels=self.labels, free=free)

    def others(self, jobs: Iterable[str]) -> dict[str, float]:
        """Returns what work other than the jobs' slots has reserved here."""
        ours = self.for_jobs(jobs).free or {}
        used = {name: round(total - ours.get(name, 0), 4) for name, total in self.total.items()}
        return {name: amount for name, amount in used.items() if amount > OURS and name != "object_store_memory"}


def settled(looks: Sequence[Sequence[Seen]], jobs: Iterable[str]) -> list[NodeResources]:
    """Returns what the nodes of the last look have free for the jobs, by the best of some looks in a row.

    While Ray makes a placement group, its resources belong to nobody for a moment; they are no other work's.
    """
    jobs, best = list(jobs), {}
    for node in looks[-1]:
        best[node.id] = node.for_jobs(jobs)
    for node in (node for seen in looks[:-1] for node in seen if node.id in best):
        known, before = best[node.id], node.for_jobs(jobs).free or {}
        free = {name: max(amount, before.get(name, 0)) for name, amount in (known.free or {}).items()}
        best[node.id] = NodeResources(id=node.id, total=known.total, labels=known.labels, free=free)
    return list(best.values())


def look() -> tuple[Seen, ...]:
    """Returns the living nodes. All that is told of a node was true at one moment."""
    from ray.autoscaler.v2.sdk import get_cluster_resource_state
    from ray.core.generated.autoscaler_pb2 import NodeStatus
    from ray.experimental.internal_kv import internal_kv_get_gcs_client

    gone = (NodeStatus.DEAD, NodeStatus.DRAINING)
    state = get_cluster_resource_state(internal_kv_get_gcs_client())
    return tuple(_seen(node) for node in state.node_states if node.status not in gone)


def holds(nodes: Iterable[Seen], job: str) -> dict[str, int]:
    """Returns how many placement groups of the job lie on each node; one that spans nodes counts on each."""
    return {node.id: len(node.groups[job]) for node in nodes if job in node.groups}


def grows(nodes: Iterable[Seen]) -> bool:
    """Returns whether an autoscaler may add nodes to this cluster.

    Each head runs a monitor; without an autoscaler's configuration it only mirrors the nodes. Autoscaler 1 then reports a
    type of its own for each node, named after it; autoscaler 2 tells its nodes their instances' names.
    """
    from ray.autoscaler.v2.utils import is_autoscaler_v2
    from ray.experimental.internal_kv import _internal_kv_get

    if is_autoscaler_v2():
        return any(node.instance for node in nodes)
    status = json.loads(_internal_kv_get(STATUS) or b"{}")
    types = (status.get("autoscaler_report") or {}).get("active_nodes") or {}
    return any(not mirrored(name) for name in types)


def mirrored(type_: str) -> bool:
    """Returns whether a node type is one that the monitor makes up where there is no autoscaler."""
    return re.fullmatch("node_[0-9a-f]{56}", type_) is not None


def _seen(node: Any) -> Seen:
    plain = {name: amount for name, amount in node.total_resources.items() if _is_plain(name)}
    groups: dict[str, dict[str, dict[str, float]]] = {}
    for name, amount in node.total_resources.items():
        found = GROUP.fullmatch(name)
        if found is not None and found["resource"] != "bundle":
            job = found["group"][-JOB_DIGITS:]
            groups.setdefault(job, {}).setdefault(found["group"], {})[found["resource"]] = amount
    free = {name: node.available_resources.get(name, 0.0) for name in plain}
    return Seen(node.node_id.hex(), plain, free, dict(node.labels), groups, node.instance_id)


def _is_plain(name: str) -> bool:
    return "_group_" not in name and not name.startswith("node:")
