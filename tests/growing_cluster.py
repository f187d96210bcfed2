"""A Ray cluster with an autoscaler whose nodes are processes here: a head without CPUs, and as many nodes as are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faulty_cluster import FaultyCluster

HEAD = "f" * 51 + "00000"  # the id that Ray's fake provider expects
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
EMPTY = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands",
         "head_setup_commands", "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")  # fmt: skip
IDLE_MINUTES = 0.1


class GrowingCluster(FaultyCluster):
    """Nodes of `cpus` CPUs each, at most `most` of them; `second` for Ray's second autoscaler."""

    def __init__(self, folder: Path, *, cpus: int, most: int, second: bool = False) -> None:
        variables: dict[str, object] = {
            "AUTOSCALER_UPDATE_INTERVAL_S": 1, "RAY_FAKE_CLUSTER": 1, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        }  # fmt: skip
        if second:
            variables |= {"RAY_enable_autoscaler_v2": 1, "RAY_CLOUD_INSTANCE_ID": HEAD}
        self._size, self._most = cpus, most
        super().__init__(folder, [], {})
        self._of_head = variables

    def start_head(self) -> None:
        config = self.folder / "autoscaler.json"
        config.write_text(json.dumps(self._config()))
        self._more = self._of_head
        try:
            self._begin(0, ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false",
                            f"--autoscaling-config={config}"])  # fmt: skip
        finally:
            self._more = {}

    def _config(self) -> dict[str, Any]:
        node: dict[str, Any] = {"node_config": {}, "min_workers": 0, "max_workers": self._most}
        return {
            "cluster_name": "growing", "max_workers": self._most, "idle_timeout_minutes": IDLE_MINUTES,
            "upscaling_speed": 10.0, "auth": {"ssh_user": "nobody"}, "file_mounts": {}, "file_mounts_sync_continuously": False,
            "provider": {
                "type": "external", "module": PROVIDER, "use_node_id_as_ip": True, "disable_node_updaters": True,
                "disable_launch_config_check": True, "gcs_address": self.address, "launch_multiple": True,
                "head_node_id": HEAD,
            },
            "head_node_type": "ray.head.default",
            "available_node_types": {
                "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
                "small": {**node, "resources": {"CPU": self._size, "object_store_memory": 80 * 2**20}},
            },
            **{name: [] for name in EMPTY},
        }  # fmt: skip
