"""The nodes of a cloud that launch.py stands in for: one file a node, in a folder that the launcher and the head share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ray.autoscaler.node_provider import NodeProvider

FOLDER = Path("/run/launch/nodes")
HEAD_IP, WORKER_IP = "127.0.0.1", "127.0.0.2"


class Nodes(NodeProvider):
    """Creates a node by writing its tags to a file; a terminated node's file has the ending `.gone`."""

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        names = [path.name for path in sorted(FOLDER.glob("node-*")) if path.suffix != ".gone"]
        return [name for name in names if tag_filters.items() <= self.node_tags(name).items()]

    def is_running(self, node_id: str) -> bool:
        return (FOLDER / node_id).exists()

    def is_terminated(self, node_id: str) -> bool:
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        tags: dict[str, str] = json.loads((FOLDER / node_id).read_text())
        return tags

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        (FOLDER / node_id).write_text(json.dumps(self.node_tags(node_id) | tags))

    def internal_ip(self, node_id: str) -> str:
        return HEAD_IP if self.node_tags(node_id)["ray-node-type"] == "head" else WORKER_IP

    def external_ip(self, node_id: str) -> str:
        return self.internal_ip(node_id)

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        made = len(list(FOLDER.iterdir()))
        for number in range(made, made + count):
            (FOLDER / f"node-{number}").write_text(json.dumps(tags))

    def terminate_node(self, node_id: str) -> None:
        (FOLDER / node_id).rename(FOLDER / f"{node_id}.gone")
