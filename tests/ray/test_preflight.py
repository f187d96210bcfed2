"""The preflight on a cluster of three different real nodes, and how trials are packed on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.connect import Connection, connect
from cluster.needs import GIB, Needs, PreflightError
from cluster.preflight import installed, preflight, this_python
from hpo.game.runs import runs_of
from hpo.live.dispatch import Dispatch
from hpo.store import StudyWriter, read, verify
from hpo.study.study import Resources, Study


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


def test_nodes_that_meet_the_needs(cluster: Connection, tmp_path: Path) -> None:
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
    assert text.count("must run Python 2.7 like the driver") == 2
    assert text.count("data.root") == 2
    assert text.count("readable and writable on the driver's node") == 1
    with pytest.raises(PreflightError, match="no-such-package"):
        report.check()


def test_a_trial_that_fits_on_no_node(cluster: Connection) -> None:
    needs = Needs(cpus=2, gpus=2)
    assert preflight(cluster, needs).reasons == (
        "a trial needs 2 CPU and 2 GPU on one node, but the largest of the 3 has 3 CPU and 1 GPU; lower resources.gpus, or "
        "choose a cluster with such a node",
    )
    assert preflight(cluster, needs, elastic=True).ok
    assert preflight(cluster, Needs(cpus=1, gpus=0.25)).room == 3


# -- the driver's own packing -----------------------------------------------------------------------------------------

QUARTERS = """
study: quarters
trainable: curves
data: {{seconds: 0.2}}
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: 32, max_epochs: 4}}
methods: [random]
parallelism: 8
resources: {{cpus: 0.5, gpus: 0.25, pack: false}}
store: {store}
"""


@pytest.mark.parametrize(
    ("resources", "count"),
    [
        (Resources(cpus=1), 4),
        (Resources(cpus=2), 1),
        (Resources(cpus=0.5), 8),
        (Resources(cpus=1, gpus=0.5), 2),
        (Resources(cpus=4), 0),
    ],
)
def test_slots_are_what_fits_on_each_node(cluster: Connection, resources: Resources, count: int) -> None:
    from hpo.live.tune.slots import Slots

    assert Slots(resources, limit=None).target({}, 8) == count
    assert Slots(resources, limit=1).target({}, 8) == min(count, 1)


@pytest.mark.timeout(300)
def test_four_trials_share_a_gpu(cluster: Connection, tmp_path: Path) -> None:
    from hpo.live.tune.driver import drive

    (tmp_path / "quarters.yaml").write_text(QUARTERS.format(store=tmp_path / "store"))
    study = Study.load(str(tmp_path / "quarters.yaml"))
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    )  # fmt: skip
    dispatch = Dispatch(study, runs_of(study), writer, str(tmp_path / "checkpoints"), 64)
    seen: set[tuple[int, int]] = set()
    drive(dispatch, study.resources, observe=lambda dispatch, now: seen.add((now.busy, now.slots)))
    assert (4, 4) in seen
    assert max(seen) == (4, 4)
    rows = read(study.store).epochs.select(["finished", "seconds"]).to_pylist()
    spans = [(row["finished"] - row["seconds"], row["finished"]) for row in rows]
    assert max(sum(begin <= at < end for begin, end in spans) for at, _ in spans) <= 4
    assert verify(study.store) == []
    assert [run["status"] for run in read(study.store).runs.to_pylist()] == ["complete"]
