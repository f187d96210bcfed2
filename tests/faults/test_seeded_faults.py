"""A small part of `make soak`, on real Ray nodes: a node joins; a worker and a driver are killed at moments by a seed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from fault_injector import STUDY, Ordeal, afterwards, played_here
from fault_places import Folder
from faulty_cluster import FaultyCluster, faulty_cluster

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cluster() -> Iterator[FaultyCluster]:
    """One node with one CPU, and a head; in a folder short enough for Ray's sockets, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-seeded-", dir="/tmp"))
    with faulty_cluster(folder, cpus=(1,)) as started:
        yield started
    rmtree(folder, ignore_errors=True)


def ordeal(cluster: FaultyCluster, folder: Path, *, seconds: float, epochs: int, most: int) -> Ordeal:
    study = folder / "run" / "study.yaml"
    study.parent.mkdir()
    study.write_text(STUDY.format(seconds=seconds, epochs=epochs, most=most, seeds=[0], landscape=0))
    return Ordeal(cluster, study, Folder(str(folder / "store")), np.random.default_rng(0))


@pytest.mark.journey
def test_a_node_that_joins_is_used_though_trials_are_shorter_than_its_start(
    cluster: FaultyCluster, tmp_path: Path
) -> None:
    endless = ordeal(cluster, tmp_path, seconds=0.5, epochs=2000, most=2)
    with endless.underway():
        endless.watch(1)
        joined = cluster.add(1)
        assert not endless.has_trained(joined), "it has only just begun to join"
        endless.watch(joined)
        assert endless.has_trained(joined)


def test_after_a_worker_and_a_driver_were_killed_all_is_as_undisturbed(cluster: FaultyCluster, tmp_path: Path) -> None:
    killed = ordeal(cluster, tmp_path, seconds=0.5, epochs=16, most=4)
    expected = played_here(killed.study, tmp_path / "whole")
    killed.play(["worker_killed", "driver_killed"])
    assert killed.done["worker_killed"] == 1
    afterwards(killed, expected)
