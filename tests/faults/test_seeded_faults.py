"""A small part of `make soak`: a worker and a driver killed at moments drawn by a seed, on real Ray nodes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from fault_injector import STUDY, Ordeal, afterwards, played_here
from fault_places import Folder
from faulty_cluster import faulty_cluster


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for Ray's sockets, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="hpo-seeded-", dir="/tmp"))
    yield path
    rmtree(path, ignore_errors=True)


@pytest.mark.timeout(900)
def test_after_a_worker_and_a_driver_were_killed_all_is_as_undisturbed(folder: Path) -> None:
    study = folder / "run" / "study.yaml"
    study.parent.mkdir()
    study.write_text(STUDY.format(seconds=0.5, epochs=16, most=4, seeds=[0], landscape=0))
    expected = played_here(study, folder / "whole")
    with faulty_cluster(folder / "c", cpus=(2,)) as cluster:
        ordeal = Ordeal(cluster, study, Folder(str(folder / "store")), np.random.default_rng(0))
        ordeal.play(["worker_killed", "driver_killed"])
        assert ordeal.done["worker_killed"] == 1
        afterwards(ordeal, expected)
