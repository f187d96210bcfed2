"""`hpo.run` in a Python process of a user's: on a cluster of its own, beside a main thread, interrupted and continued."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import documented

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]

LINE = """
import json, time
from pathlib import Path


class Line:
    def __init__(self, config, *, task, seed, max_epochs):
        self.x, self.epoch = config["x"], 0

    def train_epoch(self):
        self.epoch += 1
        time.sleep(0.02)
        return {"val_accuracy": 1 - abs(self.x - 0.3) / self.epoch}

    def save(self, directory):
        (Path(directory) / "epoch.json").write_text(json.dumps(self.epoch))

    def load(self, directory):
        self.epoch = json.loads((Path(directory) / "epoch.json").read_text())

    def test(self):
        return {"test_accuracy": 1 - abs(self.x - 0.3)}
"""

SCRIPT = """
import json, os, signal, sys, threading, time
import hpo

study = hpo.Study(
    name="line", trainable="line:Line", space={"x": hpo.Float(0, 1)}, budget={"epochs": 64, "max_epochs": 4},
    methods=["random", {"asha": {"eta": 2}}], seeds=[0, 1],
)

def interrupt():
    while not hpo.open("stopped").get("line") or len(hpo.open("stopped")["line"].charges) < 8:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    hpo.run(study, store="stopped", workers=1, quiet=True)
except hpo.HpoError as stopped:
    told = str(stopped)
before = len(hpo.open("stopped")["line"].charges)
found, refused = [], []
beside = threading.Thread(target=lambda: found.append(hpo.run(study, store="stopped", workers=2)))
beside.start()
while beside.is_alive():
    if not refused:
        try:
            hpo.run(study, store="other")
        except hpo.HpoError as error:
            refused.append(str(error))
    print("the main thread's")
    time.sleep(0.5)
results = found[0]
again = hpo.run(study, store="stopped", workers=2)
best = results.best()
decisions = lambda found: sorted((row["run"], row["order"], row["trial"], row["epoch"]) for row in found.charges.rows())
print(json.dumps({
    "told": told, "before": before, "refused": refused, "charged": [run["charged_epochs"] for run in results.runs.rows()],
    "same": again.compare().to_json() == results.compare().to_json(), "tested": best.load().test() == best.test,
    "replayed": decisions(hpo.replay(study, results)) == decisions(results),
}))
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("python")
    (folder / "line.py").write_text(LINE)
    (folder / "script.py").write_text(SCRIPT)
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    return folder, subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.fixture(scope="module")
def said(played: tuple[Path, subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    done = played[1]
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_an_interrupted_run_says_how_to_continue_and_goes_on_to_its_exact_budget(said: dict[str, Any]) -> None:
    assert "to continue: hpo.run(study, store='stopped')" in said["told"]
    assert 8 <= said["before"] < 4 * 64
    assert said["charged"] == [64] * 4
    assert said["same"], "a finished study is not trained again"


def test_a_run_beside_a_main_thread_leaves_it_its_output(
    said: dict[str, Any], played: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    assert "the main thread's" in played[1].stdout
    assert "the main thread's" not in played[1].stderr
    assert "line starts" in played[1].stderr


def test_a_process_runs_one_study_at_a_time(said: dict[str, Any]) -> None:
    assert said["refused"] == [
        "a process runs one study at a time, but another one is under way; wait for it, or use a process"
    ]


def test_the_exam_of_a_users_class_is_kept_with_its_state(said: dict[str, Any]) -> None:
    assert said["tested"]


def test_an_interrupted_run_decides_as_a_replay_in_one_piece(said: dict[str, Any]) -> None:
    assert said["replayed"]


def test_the_script_of_readme_runs_as_it_stands_and_resumes_what_it_paused(tmp_path: Path) -> None:
    (tmp_path / "sgd.py").write_text(next(documented.blocks(ROOT / "README.md", ("python",))))
    done = subprocess.run(
        [sys.executable, "sgd.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "8 seeds" in done.stdout, "the verdict"
    assert "again" not in done.stderr, "a checkpoint has every epoch"
