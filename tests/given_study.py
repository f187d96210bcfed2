"""A script as a user writes one: its function is in no module, and is given to a study as an object.

    python tests/given_study.py KIND STUDY STORE WORKERS      KIND: begins_anew or tune

Writes the study file, and plays it unless there are no workers.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from ray import tune
from ray.tune import Checkpoint

from hpo.live.session import play
from hpo.study.study import Study
from trainables import given

STUDY = """
study: given
trainable: {trainable}
space: {{rate: {{type: float, low: 0.1, high: 1.0}}}}
fixed: {{seconds: {seconds}}}
budget: {{epochs: 16, max_epochs: 4}}
methods: [{{asha: {{eta: 2}}}}]
parallelism: 2
"""

Step = tuple[float, float]


def step(x: float, rate: float) -> Step:
    """Returns the next state and its value; draws from NumPy's global generator, as much of others' code does."""
    x += rate * float(np.random.rand())
    return x, 1 - 1 / (1 + x)


def begins_anew(config, *, seed):
    x = 0.0
    while True:
        time.sleep(config["seconds"])
        x, value = step(x, config["rate"])
        yield {"val_accuracy": value}


def for_tune(config):
    x = float(np.random.rand())
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            x = json.loads(Path(folder, "x.json").read_text())
    Path("saved").mkdir(exist_ok=True)
    while True:
        time.sleep(config["seconds"])
        x, value = step(x, config["rate"])
        Path("saved", "x.json").write_text(json.dumps(x))
        tune.report({"val_accuracy": value}, checkpoint=Checkpoint.from_directory("saved"))


NAMES = {
    "begins_anew": lambda: given.name_of(begins_anew),
    "tune": lambda: given.name_of(for_tune, "tune"),
}


def main(kind: str, file: str, store: str, workers: int, seconds: float) -> None:
    Path(file).write_text(STUDY.format(trainable=NAMES[kind](), seconds=seconds))
    study = Study.load(file, store=store)
    play([study], address=None, workers=workers, quiet=True, command="the script again")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
