"""The driver is killed with its process group or asked to stop, or loses its store: the same command goes on as if nothing
had happened.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import command, environment, hpo, rows
from interrupted_study import opened, play

from hpo.store import StoreError
from hpo.study.study import Study
from tests import documented


def begin(study, store, workers=2):
    return subprocess.Popen(
        command("run", study, "--store", store, "--workers", workers, "--format", "json", "--no-report"),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def state(store):
    """The study's state, which its summary and its tables must tell alike."""
    from hpo.storage.place import place
    from hpo.store import signs
    from hpo.store.listing import Listing

    (found,) = Listing(str(store)).summaries()
    assert found.state.word == signs.read(place(str(store)), "instant").word
    return found.state


def wait_for_epochs(store, count, process, seconds=120, study="instant"):
    """Waits until the store's spool and tables hold `count` epochs: a moment in the middle of the study."""

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(rows(store, "epochs", study)) >= count:
                return
        except StoreError:
            pass
        time.sleep(0.1)


@pytest.mark.timeout(600)
def test_killed_at_any_moment_it_keeps_its_charges_in_the_order_of_arrival(instant, tmp_path):
    """test_nodes.py and soak.py cover the virtual clock, under which nothing at all may differ."""
    study = instant(seconds=0.05, fail_share=0.2, clock="arrival")
    moments = np.random.default_rng(0).integers(5, 90, size=2)
    for moment in sorted(moments):
        process = begin(study, tmp_path / "killed")
        wait_for_epochs(tmp_path / "killed", moment, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        dead = state(tmp_path / "killed")
        assert dead.word == "no sign of life"
        assert dead.command is not None
        assert dead.command.startswith("hpo run ")
    before = rows(tmp_path / "killed", "charges")
    last = hpo(
        "run", study, "--store", tmp_path / "killed", "--workers", 2, "--format", "json", "--no-report", timeout=240
    )
    assert last.returncode == 0, last.stderr
    after = rows(tmp_path / "killed", "charges")
    assert [row for row in after if row in before] == before
    from hpo.store import verify

    assert verify(str(tmp_path / "killed")) == []
    assert state(tmp_path / "killed").word == "complete"


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "page",
    [
        # A minute each; tests/contract/test_adapters.py kills without a cluster.
        pytest.param("optuna", marks=pytest.mark.journey),
        pytest.param("lightning", marks=pytest.mark.soak),
        pytest.param("huggingface", marks=pytest.mark.soak),
    ],
)
def test_others_training_code_goes_on_with_the_same_comparison(tmp_path, monkeypatch, page):
    """The studies of the tutorials, but smaller."""
    name = documented.ADAPTED[page]
    study = documented.small_study(page, tmp_path)
    module = tmp_path / f"{name}.py"
    module.write_text(
        module.read_text().replace("model.partial_fit", "__import__('time').sleep(0.2) or model.partial_fit")
    )
    for variable, value in {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(tmp_path))
    process = begin(study, tmp_path / "killed", workers=1)
    wait_for_epochs(tmp_path / "killed", 6, process, study=name)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 6 <= len(rows(tmp_path / "killed", "epochs", name)) < 20
    last = hpo("run", study, "--store", tmp_path / "killed", "--workers", 1, "--no-report", timeout=280)
    assert last.returncode == 0, last.stderr
    dispatch = opened(Study.load(study, store=str(tmp_path / "whole")))  # in this process, without Ray
    assert play(dispatch, random.Random(0))
    dispatch.finish(complete=True)
    sys.modules.pop(name)
    for table in ("runs", "charges", "failures"):
        assert rows(tmp_path / "killed", table, name) == rows(tmp_path / "whole", table, name)
    taken, whole = (sorted(rows(tmp_path / store, "exams", name), key=str) for store in ("killed", "whole"))
    assert taken == whole  # in whichever order


@pytest.mark.timeout(300)
def test_asked_to_stop_it_prints_how_to_go_on_and_leaves_a_whole_store(instant, tmp_path):
    """test_signals.py sends SIGTERM, and signals to the whole group."""
    study = instant(seconds=0.1)
    process = begin(study, tmp_path / "stopped")
    wait_for_epochs(tmp_path / "stopped", 10, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    last = stderr.strip().splitlines()[-1]
    assert last.startswith("hpo: stopped by SIGINT with ")
    assert "to continue: " in last
    assert "Traceback" not in stderr
    from hpo.store import verify

    assert verify(str(tmp_path / "stopped")) == []
    assert state(tmp_path / "stopped").word == "stopped"
    assert state(tmp_path / "stopped").sentence == "stopped by SIGINT"
    assert json.loads(hpo("compare", tmp_path / "stopped", "--format", "json").stdout)["states"] == {
        "instant": "stopped"
    }
    assert last.endswith(f"to continue: {state(tmp_path / 'stopped').command}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", [pytest.param(3, marks=pytest.mark.journey), 25])
def test_a_study_that_is_moved_away_is_not_made_anew_and_goes_on_when_it_is_back(
    instant, tmp_path, monkeypatch, moment
):
    from hpo.store import read, verify

    monkeypatch.setenv("HPO_SPOOL", str(tmp_path / "spool"))
    study, store, moved = instant(seconds=0.1), tmp_path / "store", tmp_path / "moved"
    process = begin(study, store)
    wait_for_epochs(store, moment, process)
    store.rename(moved)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    last = stderr.strip().splitlines()[-1]
    assert "move it back, and the same command goes on" in last
    assert "Traceback" not in stderr
    time.sleep(1.0)  # for workers that were still writing
    assert not store.exists()
    moved.rename(store)
    again = hpo("run", study, "--store", store, "--workers", 2, "--format", "json", "--no-report", timeout=240)
    assert again.returncode == 0, again.stderr
    assert verify(str(store)) == []
    assert set(read(str(store)).runs["charged_epochs"].to_pylist()) == {36}
    assert list((tmp_path / "spool").rglob("*.jsonl")) == []
