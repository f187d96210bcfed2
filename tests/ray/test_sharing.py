"""Studies that share a real cluster: their slots, a driver that is killed, an arbiter that is lost, nodes that come and go."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from faulty_cluster import FaultyCluster, faulty_cluster, until
from growing_cluster import GrowingCluster
from ray_nodes import ROOT, Child

from hpo.store import read

HOLDER = Path(__file__).parents[1] / "slot_holder.py"
STUDY = """
study: shared
trainable: curves
data: {seconds: 0.2}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 60, max_epochs: 4}
methods: [random, {asha: {min_epochs: 1, eta: 2}}]
parallelism: 8
resources: {cpus: 1, max_workers: 6}
"""


class Holder:
    """A driver that holds its share of the slots."""

    def __init__(
        self, cluster: FaultyCluster, name: str, *, wants: int = 9, priority: float = 1, cpus: float = 1
    ) -> None:
        command = [sys.executable, HOLDER, cluster.address, name, wants, priority, 99, cpus]
        self.child = cluster.child(command, cluster.folder / f"{name}.log", ROOT)

    @property
    def last(self) -> dict[str, Any]:
        lines = [line for line in self.child.text.splitlines() if line.startswith("{")]
        return dict(json.loads(lines[-1])) if lines else {"held": 0}

    def holds(self, slots: int) -> None:
        """Waits until it holds that many slots."""
        self.child.until(lambda: self.last["held"] == slots, 60)

    def kill(self) -> None:
        self.child.process.send_signal(signal.SIGKILL)
        self.child.wait()


@contextmanager
def short() -> Iterator[Path]:
    """Yields a folder with a path that is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="sh-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def cluster() -> Iterator[FaultyCluster]:
    with short() as folder, faulty_cluster(folder, [4]) as cluster:
        yield cluster


@contextmanager
def holders(cluster: FaultyCluster, *given: tuple[str, dict[str, Any]]) -> Iterator[list[Holder]]:
    with ExitStack() as stack:
        found = []
        for name, more in given:
            found.append(Holder(cluster, name, **more))
            stack.callback(found[-1].child.close)
        yield found


def arbiters(cluster: FaultyCluster) -> list[int]:
    return [pid for number in cluster.nodes for pid, words in cluster.of(number).items() if "ray::Arbiter" in words]


@pytest.mark.journey
def test_a_second_study_gets_its_half_and_a_killed_one_leaves_it_all(cluster: FaultyCluster) -> None:
    with holders(cluster, ("first", {})) as (first,):
        first.holds(4)
        with holders(cluster, ("second", {})) as (second,):
            second.holds(2)
            first.holds(2)
            second.child.until(lambda: second.last["others"] == {"first": 2}, 30)
            first.kill()
            second.holds(4)
            second.child.until(lambda: second.last["others"] == {}, 30)
        until(lambda: not arbiters(cluster), 60, lambda: "the arbiter must end after the last study")


def test_a_lost_arbiter_comes_back_and_knows_every_study_again(cluster: FaultyCluster) -> None:
    with holders(cluster, ("first", {}), ("third", {"priority": 3})) as (first, third):
        first.holds(1)
        third.holds(3)
        (old,) = arbiters(cluster)
        os.kill(old, signal.SIGKILL)
        until(lambda: arbiters(cluster) not in ([], [old]), 60, lambda: "an arbiter must come back")
        with holders(cluster, ("last", {"priority": 4})) as (last,):
            last.holds(2)
            first.holds(1)
            third.holds(1)


def test_unlike_slots_share_by_what_each_could_have_alone(cluster: FaultyCluster) -> None:
    with holders(cluster, ("halves", {"cpus": 0.5}), ("pairs", {"cpus": 2})) as (halves, pairs):
        pairs.holds(1)
        halves.holds(4)


# -- an autoscaler --------------------------------------------------------------------------------------------------


@contextmanager
def growing(second: bool) -> Iterator[GrowingCluster]:
    with short() as folder:
        cluster = GrowingCluster(folder, cpus=2, most=4, second=second)
        try:
            cluster.start()
            yield cluster
        finally:
            left = cluster.close()
        assert not left, f"processes were left behind: {left}"


def nodes(cluster: FaultyCluster) -> int:
    """Counts the nodes beside the head, by their processes."""
    return sum("/raylet/raylet " in words for words in cluster.left().values()) - 1


def run(cluster: FaultyCluster, study: Path, store: Path, *more: object) -> Child:
    command = [sys.executable, "-m", "hpo.cli", "run", study, "--store", store, "--address", cluster.address,
               "--no-report", "--format", "json", *more]  # fmt: skip
    return cluster.child(command, cluster.folder / f"{store.name}.log", cluster.folder)


def results(store: Path) -> tuple[list[Any], list[Any]]:
    """Returns the curves, and what each run was charged in which order: all that a comparison is made of."""
    data = read(str(store))
    curves = data.epochs.select(["trial", "epoch", "val_accuracy"]).to_pylist()
    charges = data.charges.select(["run", "order", "trial", "epoch"]).to_pylist()
    return sorted(map(tuple, map(dict.values, curves))), sorted(map(tuple, map(dict.values, charges)))


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(False, id="autoscaler 1", marks=pytest.mark.soak),  # minutes, and the second is the one to come
        pytest.param(True, id="autoscaler 2"),
    ],
)
@pytest.mark.journey
def test_a_cluster_without_nodes_grows_for_a_study_and_shrinks_after_it(second: bool, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    with growing(second) as cluster:
        driver = run(cluster, study, tmp_path / "grown")
        driver.until(
            lambda: nodes(cluster) == 3, 120
        )  # three nodes of two CPUs for six workers, of four that there might be
        assert driver.wait(200) == 0, driver.text[-3000:]
        until(lambda: nodes(cluster) == 0, 90, lambda: f"{nodes(cluster)} nodes are left")
    with short() as folder, faulty_cluster(folder, [2]) as fixed:
        driver = run(fixed, study, tmp_path / "fixed")
        assert driver.wait(200) == 0, driver.text[-3000:]
    assert results(tmp_path / "grown") == results(tmp_path / "fixed")


def test_a_cluster_that_could_grow_is_refused_without_a_limit(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace(", max_workers: 6", ""))
    with growing(second=False) as cluster:
        driver = run(cluster, study, tmp_path / "none")
        assert driver.wait(120) == 2, driver.text[-3000:]
        assert "set resources.max_workers or --workers" in driver.text
        assert nodes(cluster) == 0
