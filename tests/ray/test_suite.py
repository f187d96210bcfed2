"""A suite on a real local cluster: one command, one store, and a driver that is killed in its second task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from conftest import command, environment, hpo, rows

from hpo import store as stores
from hpo.store import StoreError

SUITE = """
study: lands
trainable: curves
data: {seconds: 0.05}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 24, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
tasks:
  hills: {data: {landscape: hills}}
  dales: {data: {landscape: dales}}
"""


@pytest.mark.journey
@pytest.mark.timeout(600)
def test_a_suite_whose_driver_is_killed_in_its_second_task_goes_on_as_if_nothing_had_happened(tmp_path):
    path, killed, undisturbed = tmp_path / "lands.yaml", tmp_path / "killed", tmp_path / "undisturbed"
    path.write_text(SUITE)
    words = ("run", path, "--workers", 2, "--format", "json", "--store")
    first = subprocess.Popen(
        command(*words, killed),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and first.poll() is None and _epochs(killed, "lands.dales") < 10:
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert stores.studies(str(killed)) == ["lands.dales", "lands.hills"]
    before = rows(killed, "charges", "lands.dales")
    assert len(before) < 96

    last, whole = hpo(*words, killed, timeout=240), hpo(*words, undisturbed, timeout=240)
    assert (last.returncode, whole.returncode) == (0, 0), last.stderr + whole.stderr
    assert "lands.hills: the store has all of it" in last.stderr
    assert "lands.dales starts" in last.stderr
    for study in stores.studies(str(undisturbed)):
        for table in ("charges", "trials"):
            assert rows(killed, table, study) == rows(undisturbed, table, study)
    assert stores.verify(str(killed)) == []
    assert {run["study"] for run in json.loads(last.stdout)["runs"]} == {"lands.hills", "lands.dales"}
    compared = json.loads(hpo("compare", killed, "--format", "json").stdout)
    assert [m["mean"] for m in compared["methods"]] == [m["mean"] for m in json.loads(last.stdout)["methods"]]
    assert (killed / "lands.html").read_text().count("lands.dales")


def _epochs(store, study: str) -> int:
    try:
        return len(rows(store, "epochs", study))
    except StoreError:
        return 0
