"""The preflight on a cluster of three different real nodes, and how trials are packed on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import somebodys_cluster

from cluster.connect import Connection, connect
from cluster.living import living
from cluster.needs import GIB, Needs, PreflightError
from cluster.preflight import installed, preflight, this_python
from cluster.slots import NodeResources, Request
from hpo.game.runs import runs_of
from hpo.live.dispatch import Dispatch
from hpo.live.occupancy import Occupancy
from hpo.store import StudyWriter, read, verify
from hpo.study.study import Resources, Study


@pytest.fixture(scope="module")
def cluster() -> Iterator[Connection]:
    of_its_own = {"accelerator_type:H100": 1, "license": 2}
    with (
        somebodys_cluster(
            {"num_cpus": 1, "labels": {"region": "eu-1"}},
            {"num_cpus": 3, "num_gpus": 1, "memory": 2 * GIB, "resources": of_its_own, "labels": {"region": "us-1"}},
        ) as address,
        connect(address) as connection,
    ):
        yield connection


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
    assert all(row["store"] == "writable" for row in report.rows()[1:])


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


def needs(**resources: Any) -> Needs:
    section = Resources(**resources)
    return Needs(Request(section.bundles, section.labels))


def test_a_trial_that_fits_on_no_node(cluster: Connection) -> None:
    asked = needs(cpus=4, gpus=1)
    assert preflight(cluster, asked).reasons == (
        "a trial needs 4 CPU and 1 GPU on one node, but the largest of the 3 has 3 CPU and 1 GPU; lower resources.cpus, or "
        "choose a cluster with such a node",
    )
    assert preflight(cluster, asked, elastic=True).ok
    assert preflight(cluster, needs(cpus=1, gpus=0.25)).room == 3


def test_a_trial_that_names_its_nodes(cluster: Connection) -> None:
    assert preflight(cluster, needs(labels={"region": "in(eu-1, us-1)"})).room == 4
    assert preflight(cluster, needs(labels={"region": "!us-1"})).room == 1
    assert preflight(cluster, needs(gpus=0.5, accelerator="H100")).room == 2
    (reason,) = preflight(cluster, needs(gpus=0.5, accelerator="A100")).reasons
    assert reason.startswith(
        "a trial needs the accelerator A100, but the 3 nodes have no known accelerator (2), H100 (1)"
    )
    (reason,) = preflight(cluster, needs(labels={"region": "ap-1"})).reasons
    assert "the 3 nodes have eu-1 (1), no such label (1), us-1 (1)" in reason


@pytest.mark.timeout(120)
def test_what_other_work_holds_is_not_free(cluster: Connection) -> None:
    import ray
    from ray.util import placement_group, remove_placement_group

    held = placement_group([{"CPU": 2, "license": 1}])
    ray.get(held.ready())
    try:
        report = preflight(cluster, needs())
        assert (report.room, report.free) == (4, 2)
        assert report.ok
    finally:
        remove_placement_group(held)


# -- the driver's own packing -----------------------------------------------------------------------------------------

STUDY = """
study: quarters
trainable: curves
data: {{seconds: 0.2}}
space: {{learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}}}
budget: {{epochs: 32, max_epochs: 4}}
methods: [random]
parallelism: 8
resources: {resources}
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
        (Resources(cpus=0.25, gpus=0.6), 1),
        (Resources(cpus=0.5, labels={"region": "!eu-1"}), 6),
        (Resources(cpus=0.5, custom={"license": 0.8}), 2),
    ],
)
def test_slots_are_what_fits_on_each_node(cluster: Connection, resources: Resources, count: int) -> None:
    from hpo.live.tune.slots import Slots

    assert Slots(resources, limit=None).target({}, 8) == count
    assert Slots(resources, limit=1).target({}, 8) == min(count, 1)


def played(folder: Path, resources: str, observe: Callable[[Dispatch, Occupancy], None]) -> Study:
    from hpo.live.tune.driver import drive

    (folder / "study.yaml").write_text(STUDY.format(resources=resources, store=folder / "store"))
    study = Study.load(str(folder / "study.yaml"))
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    )  # fmt: skip
    dispatch = Dispatch(study, runs_of(study), writer, str(folder / "checkpoints"), 64)
    drive(dispatch, study.resources, observe=observe)
    return study


@pytest.mark.timeout(300)
def test_trials_run_on_the_nodes_that_the_study_names(cluster: Connection, tmp_path: Path) -> None:
    seen: set[tuple[int, int]] = set()
    touched: set[str] = set()

    def observe(dispatch: Dispatch, now: Occupancy) -> None:
        seen.add((now.busy, now.slots))
        touched.update(node.labels["region"] for node in living(free=True) if node.free and taken(node))

    def taken(node: NodeResources) -> bool:
        assert node.free is not None
        return any(node.free.get(name, 0) < node.total.get(name, 0) for name in ("CPU", "license"))

    asked = '{cpus: 0.25, accelerator: H100, gpus: 0.1, labels: {region: "in(us-1, us-2)"}, custom: {license: 0.8}}'
    played(tmp_path, asked, observe)
    assert max(seen) == (2, 2)
    assert touched == {"us-1"}


@pytest.mark.timeout(300)
def test_four_trials_share_a_gpu(cluster: Connection, tmp_path: Path) -> None:
    seen: set[tuple[int, int]] = set()
    study = played(
        tmp_path, "{cpus: 0.5, gpus: 0.25, pack: false}", lambda dispatch, now: seen.add((now.busy, now.slots))
    )
    assert (4, 4) in seen
    assert max(seen) == (4, 4)
    assert len(set(read(study.store).epochs["worker"].to_pylist())) == 4
    assert verify(study.store) == []
    assert [run["status"] for run in read(study.store).runs.to_pylist()] == ["complete"]
