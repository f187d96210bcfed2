"""The preflight on a cluster of three real nodes that differ."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.connect import Connection, connect
from cluster.needs import GIB, Needs, PreflightError
from cluster.preflight import installed, preflight, this_python


@pytest.fixture(scope="module")
def cluster() -> Iterator[Connection]:
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_ADDRESS")}
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ.pop("RAY_ADDRESS", None)
    from ray.cluster_utils import Cluster

    sizes = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **sizes})
    try:
        nodes.add_node(num_cpus=1, **sizes)
        nodes.add_node(num_cpus=3, num_gpus=1, memory=2 * GIB, **sizes)
        with connect(nodes.address) as connection:
            yield connection
    finally:
        nodes.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def test_nodes_that_can(cluster: Connection, tmp_path: Path) -> None:
    packages = installed(["numpy", "pyarrow", "no-such-package"])
    store = tmp_path / "store"
    needs = Needs(packages=packages, python=this_python(), data_root=str(Path(__file__).parent), store=str(store))
    report = preflight(cluster, needs)
    assert report.reasons == ()
    assert report.room == 4
    assert [node.room(needs) for node in report.nodes].count(0) == 1
    assert all(node.answer is not None and abs(node.skew) < 1 for node in report.nodes)
    assert sum(node.driver for node in report.nodes) == 1
    assert list(store.iterdir()) == []
    assert len(report.rows()) == 4
    assert all(row[-2] == "writable" for row in report.rows()[1:])


def test_every_reason_is_a_sentence(cluster: Connection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    needs = Needs(
        packages={"no-such-package": "1.0", "numpy": "0.1"},
        python="2.7",
        data_root=str(tmp_path / "nowhere"),
        store=str(tmp_path / "file" / "store"),
    )
    report = preflight(cluster, needs)
    text = "\n".join(report.reasons)
    assert text.count("no-such-package 1.0 must be installed on node") == 2
    assert text.count("numpy must be 0.1 on node") == 2
    assert text.count("must run Python 2.7 as the driver does") == 2
    assert text.count("data.root") == 2
    assert text.count("readable and writable on the driver's node") == 1
    with pytest.raises(PreflightError, match="no-such-package"):
        report.check()


def test_a_trial_that_fits_on_no_node(cluster: Connection) -> None:
    needs = Needs(cpus=2, gpus=2)
    assert preflight(cluster, needs).reasons == (
        "a trial needs 2 CPU and 2 GPU on one node, but the largest of the 3 has 3 CPU and 1 GPU",
    )
    assert preflight(cluster, needs, elastic=True).ok
    assert preflight(cluster, Needs(cpus=1, gpus=0.25)).room == 3
