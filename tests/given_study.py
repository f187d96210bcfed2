"""A script as a user writes one, and a notebook's cell: its functions are in no module, and are given to a study as objects.

    python tests/given_study.py KIND STUDY STORE WORKERS SECONDS [FACTOR]      KIND: optuna or tune

Writes a study file, and runs the study.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from ray import tune
from ray.tune import Checkpoint

import hpo

STUDY = """
study: given
trainable: {trainable}
space: {{rate: {{type: float, low: 0.1, high: 1.0}}}}
budget: {{epochs: 16, max_epochs: 4}}
methods: [{{asha: {{eta: 2}}}}]
parallelism: 2
metric: value
mode: max
"""

SECONDS, FACTOR = 0.0, 1.0

Step = tuple[float, float]


def step(x: float, rate: float) -> Step:
    """Returns the next state and its value; draws from NumPy's global generator, as much of others' code does."""
    time.sleep(SECONDS)
    x += FACTOR * rate * float(np.random.rand())
    return x, 1 - 1 / (1 + x)


def for_optuna(trial):
    rate, x, value = trial.suggest_float("rate", 0.1, 1.0), 0.0, 0.0
    for epoch in range(4):
        x, value = step(x, rate)
        trial.report(value, epoch)
    return value


def for_tune(config):
    x = float(np.random.rand())
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            x = json.loads(Path(folder, "x.json").read_text())
    Path("saved").mkdir(exist_ok=True)
    while True:
        x, value = step(x, config["rate"])
        Path("saved", "x.json").write_text(json.dumps(x))
        tune.report({"value": value}, checkpoint=Checkpoint.from_directory("saved"))


TRAINABLES = {"optuna": for_optuna, "tune": for_tune}

if __name__ == "__main__":
    kind, file, store = sys.argv[1:4]
    SECONDS, FACTOR = float(sys.argv[5]), float(sys.argv[6]) if len(sys.argv) > 6 else 1.0
    study = hpo.Study(
        name="given", trainable={kind: TRAINABLES[kind]}, space={"rate": hpo.Float(0.1, 1.0)}, metric="value", mode="max",
        budget={"epochs": 16, "max_epochs": 4}, methods=[{"asha": {"eta": 2}}], parallelism=2,
    )  # fmt: skip
    Path(file).write_text(STUDY.format(trainable=study.trainable))
    hpo.run(study, store=store, workers=int(sys.argv[4]), quiet=True)
