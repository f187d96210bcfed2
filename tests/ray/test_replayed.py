"""Replays of real clusters' results: every method decides as it did live, and Ray Tune's own experiments answer a study."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import hpo

from hpo import store as stores
from hpo.live.tune import SETTINGS
from hpo.methods import METHODS
from hpo.replay import from_store, replay
from hpo.replay.sources import knows, load
from hpo.store import StudyData
from hpo.study.study import Study

pytestmark = pytest.mark.timeout(900)

LIVE = f"""
study: live
trainable: curves
data: {{fail_share: 0.15, diverge_share: 0.15}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01, 0.03]}}
  optimizer: {{type: choice, values: [adam, sgd]}}
  finetuned_layers: {{type: choice, values: [0, 4, all]}}
  cost: {{type: choice, values: [1.0, 2.5]}}
budget: {{epochs: 24, max_epochs: 6}}
methods: [{", ".join(METHODS)}]
seeds: [0]
parallelism: 3
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> tuple[StudyData, StudyData]:
    """Runs a study of every method on a local cluster; returns its store's data and its replay's."""
    folder = tmp_path_factory.mktemp("live")
    path = folder / "live.yaml"
    path.write_text(LIVE)
    answer = hpo("run", path, "--store", folder / "results", "--workers", 2, "--quiet", "--no-report", timeout=600)
    assert answer.returncode == 0, answer.stderr
    study = Study.load(path, store=str(folder / "results"))
    return stores.read(study.store), replay(study, data=from_store(study.store, study)).data


def decisions(
    data: StudyData, table: str, method: str, by: str, left_out: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    rows = [row for row in getattr(data, table).to_pylist() if row["method"] == method]
    return sorted(({k: v for k, v in row.items() if k not in left_out} for row in rows), key=lambda row: row[by])


@pytest.mark.parametrize("method", METHODS)
def test_a_live_study_replayed_from_its_own_store_decides_the_same(live, method):
    stored, replayed = live
    assert decisions(stored, "charges", method, "order")
    assert decisions(replayed, "charges", method, "order") == decisions(stored, "charges", method, "order")
    kind = ("kind",)  # the replay knows that and why a trial failed; only the store knows the kind
    trials = decisions(stored, "trials", method, "number", kind)
    assert decisions(replayed, "trials", method, "number", kind) == trials
    times = ("train_seconds", "wasted_epochs")
    assert decisions(replayed, "runs", method, "run", times) == decisions(stored, "runs", method, "run", times)


TUNE = """
import sys
import ray
from ray import tune

class Trainable(tune.Trainable):
    def setup(self, config):
        self.config, self.epoch = config, 0

    def reset_config(self, config):
        self.setup(config)
        return True

    def save_checkpoint(self, folder):
        return {}

    def step(self):
        self.epoch += 1
        if self.config["rate"] == 0.001 and self.epoch == 3:
            raise RuntimeError("out of memory")
        loss = 1 / self.epoch + abs(self.config["rate"] - 0.1)
        pruned = self.config["rate"] == 1.0 and self.epoch == 2
        return {"val_loss": loss, "done": pruned or self.epoch == self.config["fixed"]["epochs"]}

ray.init("local", num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
tune.Tuner(
    tune.with_resources(Trainable, {"cpu": 1}),
    param_space={"net": {"rate": tune.grid_search([0.001, 0.01, 0.1, 1.0])}, "fixed": {"epochs": 4}},
    tune_config=tune.TuneConfig(reuse_actors=True),
    run_config=tune.RunConfig(name="made", verbose=0, storage_path=sys.argv[1]),
).fit()
""".replace('config["rate"]', 'config["net"]["rate"]')

STUDY = """
study: tuned
trainable: curves
space:
  rate: {type: float, low: 0.001, high: 1.0, log: true}
budget: {epochs: 16, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
metric: val_loss
mode: min
"""


@pytest.mark.parametrize("kept", ["result.json", "progress.csv"])
def test_an_experiment_of_ray_tune_answers_a_study(tuned, kept):
    folder, study = tuned
    if kept == "progress.csv":
        for path in folder.glob("*/result.json"):
            path.unlink()
    assert knows(str(folder))
    table = load(str(folder), study.space, study.metric)
    found = {config["rate"]: (int(known), bool(failed)) for config, known, failed in zip(
        table.configs, table.known, table.failed, strict=True)}  # fmt: skip
    assert found == {0.001: (2, True), 0.01: (4, False), 0.1: (4, False), 1.0: (2, False)}
    best = table.configs.index({"rate": 0.1})
    assert table.values[best].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    played = replay(study, table=table)
    assert {run.ledger.committed for run in played.runs} == {16}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> tuple[Path, Study]:
    """Runs an experiment of Ray Tune: one trial fails, one ends early, and one setting is the same in all."""
    folder = tmp_path_factory.mktemp("tuned")
    command = [sys.executable, "-c", TUNE, str(folder)]
    # Tune as it is by default: a test before this one may have imported our settings, which switch its loggers off.
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(command, capture_output=True, timeout=400, check=False, env=environment, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "study.yaml").write_text(STUDY)
    return folder / "made", Study.load(folder / "study.yaml")
