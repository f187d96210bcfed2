"""A study over nodes that differ, come and go: all of them work, and what comes out is what comes out undisturbed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from fault_injector import STUDY, Ordeal, afterwards, played_here, wasted
from fault_places import Folder
from faulty_cluster import faulty_cluster


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for Ray's sockets, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="hpo-nodes-", dir="/tmp"))
    yield path
    rmtree(path, ignore_errors=True)


class Journey(Ordeal):
    """What happens here, beside the faults of the soak: a node joins; the largest one is lost."""

    def _node_joined(self) -> None:
        self.watch(*(number for number in self.cluster.nodes if number))
        self.watch(self.cluster.add(1, '--resources={"fast_disk": 1}'))

    def _largest_lost(self) -> None:
        self.watch(2)
        self.cluster.kill(2)


@pytest.mark.soak  # minutes; that a node that joins is used: test_seeded_faults.py
@pytest.mark.timeout(900)
def test_nodes_that_differ_all_work_and_may_come_and_go(folder: Path) -> None:
    study = folder / "run" / "study.yaml"
    study.parent.mkdir()
    study.write_text(STUDY.format(seconds=1.0, epochs=16, most=4, seeds=[0, 1, 2], landscape=0))
    expected = played_here(study, folder / "whole")
    store = Folder(str(folder / "store"))
    with faulty_cluster(folder / "c", cpus=(1, 2)) as cluster:
        journey = Journey(cluster, study, store, np.random.default_rng(0))
        journey.play(["node_joined", "largest_lost", "worker_killed", "driver_killed"])
        assert sum(journey.done.values()) == 4, "the study was over too soon"
        afterwards(journey, expected)
    assert wasted(store.uri) <= 8, "at most four processes died, with an epoch or two since the last checkpoint each"
