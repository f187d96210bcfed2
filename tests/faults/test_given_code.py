"""A driver that was given a function as an object is killed: the command line, or a kernel that was restarted, goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stores
from conftest import environment, hpo, rows
from ray_nodes import somebodys_cluster
from without_ray import dispatching, play_to_the_end

from hpo.live import code
from hpo.store import StoreError, read, verify
from hpo.study.study import Study

SCRIPT = Path(__file__).parents[1] / "given_study.py"
SECONDS = 0.15  # of an epoch


def script(kind: str, file: Path, store: Path, *more: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, kind, file, store, "2", *map(str, (SECONDS, *more))],
        env=environment(), stderr=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip


def killed(kind: str, file: Path, store: Path) -> None:
    """Begins the study, and kills its driver and workers when a quarter of it is there."""
    driver = script(kind, file, store)
    until = time.monotonic() + 120
    while time.monotonic() < until and driver.poll() is None:
        try:
            if len(rows(store, "epochs", "given")) >= 4:
                break
        except StoreError:
            pass
        time.sleep(0.05)
    assert driver.poll() is None, "the study was over too soon"
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()


def by_the_command_line(file: Path, store: Path) -> str:
    """Goes on with the code in the store."""
    again = hpo("run", file, "--store", store, "--workers", 2, "--no-report", timeout=200)
    assert again.returncode == 0, again.stderr
    return again.stderr


def by_a_restarted_kernel(file: Path, store: Path) -> str:
    """Goes on in a process that defines the same function anew. One whose function differs is refused with a sentence."""
    other = script("optuna", file, store, 2.0)
    told = other.communicate(timeout=100)[1].splitlines()[-1]
    assert "which differs in the code of its trainable, or in a value that this code refers to ('optuna:given:" in told
    again = script("optuna", file, store)
    told = again.communicate(timeout=200)[1]
    assert again.returncode == 0, told
    return told


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "go_on"),
    [pytest.param("tune", by_the_command_line, marks=pytest.mark.journey), ("optuna", by_a_restarted_kernel)],
)
def test_killed_it_goes_on_as_if_nothing_had_happened(kind, go_on, tmp_path, monkeypatch):
    file, store = tmp_path / "given.yaml", tmp_path / "store"
    killed(kind, file, store)
    before = rows(store, "charges", "given")
    told = go_on(file, store)
    assert told.count("saves no checkpoint: its paused trials are trained anew") == (kind == "optuna")
    assert verify(str(store)) == []

    monkeypatch.chdir(tmp_path)  # where the code writes
    code.recover(Study.load(file, store=str(store)))
    play_to_the_end(dispatching(Study.load(file, store=str(tmp_path / "whole"))))
    for table in ("charges", "trials"):
        assert rows(store, table, "given") == rows(tmp_path / "whole", table, "given")
    assert [row for row in rows(store, "charges", "given") if row in before] == before
    wasted = sum(read(str(store), "given").runs["wasted_epochs"].to_pylist())
    assert wasted > 0 if kind == "optuna" else wasted <= 4, "those of two trials since their checkpoints"


@pytest.mark.journey
@pytest.mark.timeout(300)
def test_the_code_reaches_every_node_of_a_cluster_and_a_store_on_s3(tmp_path, monkeypatch):
    """Two nodes with one slot each, so that both train; the command line reads the code from S3."""
    file, store = tmp_path / "given.yaml", stores.bucket(stores.server("moto"), tmp_path, monkeypatch)
    with somebodys_cluster({"num_cpus": 1}, {"num_cpus": 1}) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        killed("tune", file, store)
        before = rows(store, "charges", "given")
        by_the_command_line(file, store)
    assert verify(store) == []
    found = read(store, "given")
    assert len(set(found.epochs["worker"].to_pylist())) > 1
    assert found.runs["charged_epochs"].to_pylist() == [16]
    assert [row for row in rows(store, "charges", "given") if row in before] == before
