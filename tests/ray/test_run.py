"""`hpo run` on a real local cluster: exact budgets, the same decisions on any cluster, failures that do not stop it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import hpo, rows

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Runs a study in which a third of the configurations fail, with one worker and with two."""
    from conftest import INSTANT

    folder = tmp_path_factory.mktemp("run")
    study = folder / "instant.yaml"
    study.write_text(INSTANT.format(seconds=0, fail_share=0.3, epochs=36, seeds="[0, 1]", clock="virtual"))
    answers = {
        n: hpo(
            "run", study, "--store", folder / f"w{n}", "--workers", n, "--format", "json", "--no-report", timeout=240
        )
        for n in (1, 2)
    }
    return folder, study, answers


def test_every_run_is_charged_its_budget_and_stdout_carries_only_the_result(failing):
    for answer in failing[2].values():
        assert answer.returncode == 0, answer.stderr
        runs = json.loads(answer.stdout)["runs"]
        assert {run["method"] for run in runs} == {"grid", "random", "bayesian", "asha"}
        for run in runs:
            used_up = run["charged_epochs"] == 36
            assert used_up or (run["method"] == "grid" and run["reason"])
            assert run["status"] == "complete"
            assert run["incumbent"]["test"]["test_accuracy"] > 0


def test_the_number_of_workers_changes_only_times(failing):
    folder = failing[0]
    for table in ("trials", "charges"):
        assert rows(folder / "w1", table) == rows(folder / "w2", table)


def test_failed_configurations_are_recorded_with_their_reason_and_the_study_goes_on(failing):
    folder = failing[0]
    failed = [row for row in rows(folder / "w2", "trials") if row["status"] == "failed"]
    assert failed
    assert all(row["reason"] and row["kind"] for row in failed)


def test_a_finished_study_adds_up_leaves_no_checkpoint_and_is_not_trained_again(failing):
    from hpo.store import verify

    folder, study, answers = failing
    assert verify(str(folder / "w2")) == []
    assert not (folder / "w2" / "instant" / "checkpoints").exists()
    again = hpo("run", study, "--store", folder / "w2", "--format", "json", "--no-report", timeout=240)
    assert json.loads(again.stdout)["runs"] == json.loads(answers[2].stdout)["runs"]


def test_results_go_to_stdout_then_the_report_and_what_to_ask_next_to_stderr(failing):
    folder, study, _ = failing
    told = hpo("run", study, "--store", folder / "w2", timeout=240)
    assert told.stdout == hpo("compare", folder / "w2").stdout
    said = told.stderr.splitlines()
    report = said.index(f"report: {folder / 'w2' / 'instant' / 'report.html'}")
    assert said[report + 1] == "next:"
    assert [line.split()[:2] for line in said[report + 2 :: 2]] == [
        ["hpo", "compare"], ["hpo", "importance"], ["hpo", "replay"],
    ]  # fmt: skip


def test_a_worker_is_one_process_and_all_of_them_train_however_short_the_trials(instant, tmp_path):
    """Trials take tenths of a second, a process takes seconds to start: it must not be ended because others are up."""
    from hpo.store import read

    answer = hpo(
        "run", instant(seconds=0.1, epochs=96, seeds="[0, 1]"), "--store", tmp_path / "store", "--methods", "random",
        "--workers", 2, "--no-report", timeout=240,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert len(set(read(str(tmp_path / "store"), "instant").epochs["worker"].to_pylist())) == 2


def test_methods_and_seeds_can_be_added_to_a_store_later(failing):
    folder, study, _ = failing
    first = hpo(
        "run",
        study,
        "--store",
        folder / "grown",
        "--methods",
        "random",
        "--seeds",
        "0",
        "--quiet",
        "--no-report",
        timeout=240,
    )
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    second = hpo("run", study, "--store", folder / "grown", "--format", "json", "--no-report", timeout=240)
    assert second.returncode == 0, second.stderr
    told = second.stderr.splitlines()[-1]  # on a pipe, lines; the last one says what was done
    assert re.search(r" instant: \d+ of \d+ epochs charged, \d+ trained in \d+:\d\d besides \d+ from the store, ", told)
    assert "\x1b" not in second.stderr
    assert rows(folder / "grown", "charges") == rows(folder / "w1", "charges")


OWN_CLUSTER = """
import os, subprocess, sys
from cluster.connect import connect
look = '''
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=60))
'''
with connect(None, workers=1):
    import ray
    head = ray.get_runtime_context().gcs_address
    inside = dict(os.environ)
    for change in ({}, {"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "f" * 64}):
        done = subprocess.run([sys.executable, "-c", look, head], env=inside | change, capture_output=True, text=True)
        print(done.returncode, "session_name" in done.stdout, "AuthenticationError" in done.stderr)
print("RAY_AUTH_TOKEN" in os.environ)
"""


def test_a_cluster_of_our_own_lets_no_one_else_in(tmp_path):
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", OWN_CLUSTER], env=variables | {"HOME": str(tmp_path)}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["0 True False", "1 False True", "1 False True", "False"], done.stderr
    assert not list(tmp_path.rglob("*token*"))
