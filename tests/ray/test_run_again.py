"""A bundle of a study that a cluster played, verified and trained anew on a cluster: equal exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.storage.archive import ArchivePlace
from tests.conftest import hpo, rows


@pytest.mark.journey  # tests/contract/test_bundles.py does the same without a cluster
def test_a_study_bundled_and_trained_anew_gives_the_same_numbers(instant: Callable[..., Path], tmp_path: Path) -> None:
    store, new, path = tmp_path / "store", tmp_path / "new", tmp_path / "b.tar.gz"
    done = hpo("run", instant(fail_share=0.1, epochs=24), "--store", store, "--workers", 2, "--quiet", "--no-report")
    assert done.returncode == 0, done.stderr
    done = hpo("bundle", store, "-o", path)
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    done = hpo("verify", path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    (node,) = json.loads(ArchivePlace(str(path)).contents["environment.json"])["nodes"]
    assert node["environment"]["packages"]["torch"], "each node tells its own environment"
    methods = json.loads(ArchivePlace(str(path)).contents["methods.json"])
    assert methods["packages_that_decided"].keys() >= {"hpo-arena", "numpy", "bayesian-optimization"}

    again = ("run", path, "--again", "--store", new, "--workers", 1, "--quiet", "--no-report", "--format", "json")
    done = hpo(*again)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["equal"], [run["difference"] for run in found["runs"]]) == (True, [0, 0, 0, 0])
    assert rows(new, "charges") == rows(store, "charges")
    assert json.loads(hpo(*again).stdout) == found  # nothing is left to train
    done = hpo("compare", path, new, "--format", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, found)
