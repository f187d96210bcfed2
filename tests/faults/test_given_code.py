"""A driver that was given a function as an object is killed: the command line goes on without it, and nothing differs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import environment, hpo, rows
from without_ray import dispatching, play_to_the_end

from hpo.live import code
from hpo.store import StoreError, read, verify
from hpo.study.study import Study

SCRIPT = Path(__file__).parents[1] / "given_study.py"


def killed(kind: str, file: Path, store: Path) -> None:
    """Begins the study, and kills its driver and workers when a quarter of it is there."""
    script = subprocess.Popen(
        [sys.executable, SCRIPT, kind, file, store, "2", "0.15"], env=environment(), start_new_session=True
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and script.poll() is None:
        try:
            if len(rows(store, "epochs", "given")) >= 4:
                break
        except StoreError:
            pass
        time.sleep(0.05)
    assert script.poll() is None, "the study was over too soon"
    os.killpg(script.pid, signal.SIGKILL)
    script.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["begins_anew", "tune"])
def test_killed_it_goes_on_from_the_code_in_the_store_as_if_nothing_had_happened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, store = tmp_path / "given.yaml", tmp_path / "store"
    killed(kind, file, store)
    before = rows(store, "charges", "given")
    again = hpo("run", file, "--store", store, "--workers", 2, "--no-report", timeout=200)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("begins_anew saves no checkpoint: its paused trials are trained anew") == (
        kind == "begins_anew"
    )
    assert verify(str(store)) == []

    monkeypatch.chdir(tmp_path)  # where the code writes
    code.recover(Study.load(file, store=str(store)))
    play_to_the_end(dispatching(Study.load(file, store=str(tmp_path / "whole"))))
    for table in ("charges", "trials"):
        assert rows(store, table, "given") == rows(tmp_path / "whole", table, "given")
    assert [row for row in rows(store, "charges", "given") if row in before] == before
    wasted = sum(read(str(store), "given").runs["wasted_epochs"].to_pylist())
    assert wasted > 0 if kind == "begins_anew" else wasted <= 4, "those of two trials since their checkpoints"
