"""`hpo doctor --address` on real nodes: each is asked what it has and sees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import hpo


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_ADDRESS")}
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ.pop("RAY_ADDRESS", None)
    from ray.cluster_utils import Cluster

    sizes = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **sizes})
    try:
        nodes.add_node(num_cpus=2, **sizes)
        yield nodes.address
    finally:
        nodes.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def test_a_sound_cluster_is_told_node_by_node(address: str, tmp_path: Path) -> None:
    done = hpo("doctor", "--address", address, "--store", tmp_path / "store")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert f"ok cluster: {address} answers: 2 nodes, 2 CPUs, 0 GPUs" in said
    assert said.count("Python, packages, clock (+0.0 s)") == 2
    assert not any((tmp_path / "store").glob("*"))


def test_a_store_that_nodes_cannot_write_is_a_problem(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = hpo("doctor", "--address", address, "--store", tmp_path / "file" / "store")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert f"problem cluster: the store {tmp_path / 'file' / 'store'} must be readable and writable" in said
