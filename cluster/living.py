"""The nodes of the cluster that ray is connected to, as `cluster.slots` counts them."""

from __future__ import annotations

from cluster.slots import NodeResources


def living(*, free: bool = False) -> list[NodeResources]:
    """Returns the living nodes, by name. `free`: also what nobody holds now, at the cost of a second question to Ray."""
    import ray

    nodes = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeName"]))
    left = _free() if free else {}
    return [
        NodeResources(
            id=node["NodeID"],
            name=str(node["NodeName"]),
            total=node["Resources"],
            labels=node["Labels"],
            free=left.get(node["NodeID"], {}) if free else None,
        )
        for node in nodes
    ]


def _free() -> dict[str, dict[str, float]]:
    """Returns node id -> resource -> free amount. Ray sums a node's devices; it tells nobody what each has left."""
    from ray._private import state  # Ray's public call sums over all nodes

    found: dict[str, dict[str, float]] = state.available_resources_per_node()
    return found
