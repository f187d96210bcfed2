"""`hpo doctor --address` on real nodes: each is asked what it has and sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import hpo
from ray_nodes import somebodys_cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with somebodys_cluster({"num_cpus": 2}) as found:
        yield found


def test_a_sound_cluster_is_told_node_by_node(address: str, tmp_path: Path) -> None:
    done = hpo("doctor", "--address", address, "--store", tmp_path / "store")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert f"ok cluster: {address} answers: 2 nodes, 2 CPUs, 0 GPUs" in said
    # A sound node is told in one line, one whose disk is nearly full in a line for each thing that may matter.
    nodes = [line for line in done.stdout.splitlines() if line.split()[1:2] == ["node"]]
    assert len(nodes) >= 2, done.stdout
    assert "Nothing here would stop a study" in said
    assert not any((tmp_path / "store").glob("*"))


def test_a_store_that_nodes_cannot_write_is_a_problem(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = hpo("doctor", "--address", address, "--store", tmp_path / "file" / "store")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert f"problem cluster: the store {tmp_path / 'file' / 'store'} must be readable and writable" in said
