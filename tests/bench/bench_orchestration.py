"""Orchestration compared with raw Ray Tune on the same machine in one run.

    python tests/bench/bench_orchestration.py [--quick] [--json FILE]

Instant epochs: `hpo run` with 4 methods x 400 epochs; raw Tune (default settings, function trainable) with 1,600 epochs in
64 trials; the same with reuse_actors (class trainable). All include start-up. Sleeping epochs: 0.1 s each on 2 workers, 4
methods x 200 epochs; the time from the first to the last epoch, and the whole command's, divided by half the total sleep.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, tell

from hpo.store import read

STUDY = """
study: orchestration
trainable: curves
data: {{seconds: {seconds}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01, 0.03]}}
  optimizer: {{type: choice, values: [adam, sgd, rmsprop, adadelta]}}
budget: {{epochs: {epochs}, max_epochs: 25}}
methods: [grid, random, bayesian, {{asha: {{max_epochs: 16, eta: 4}}}}]
"""

RAW = """
import ray, sys
from ray import tune
reuse = sys.argv[1] == "reuse"
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)

def function(config):
    for epoch in range(25):
        tune.report({"val_accuracy": config["rate"] * epoch})

class Trainable(tune.Trainable):
    def setup(self, config):
        self.rate, self.epoch = config["rate"], 0
    def reset_config(self, config):
        self.setup(config)
        return True
    def step(self):
        self.epoch += 1
        return {"val_accuracy": self.rate * self.epoch, "done": self.epoch == 25}

tuner = tune.Tuner(
    tune.with_resources(Trainable if reuse else function, {"cpu": 1}),
    param_space={"rate": tune.uniform(0, 1)},
    tune_config=tune.TuneConfig(num_samples=64, reuse_actors=reuse),
    run_config=tune.RunConfig(verbose=0, storage_path=sys.argv[2]),
)
assert len(tuner.fit()) == 64
"""


SLEEP = 0.1  # seconds of an epoch


def timed(command: list[str]) -> float:
    """Returns the wall seconds of a child process that must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


def play(folder: Path, name: str, seconds: float, epochs: int) -> float:
    """Runs the study with two workers and without a report; returns wall seconds."""
    study = folder / f"{name}.yaml"
    study.write_text(STUDY.format(seconds=seconds, epochs=epochs))
    arguments = ["run", str(study), "--store", str(folder / name), "--workers", "2", "--quiet", "--no-report"]
    return timed([sys.executable, "-m", "hpo.cli", *arguments])


def sleeping(folder: Path, name: str, epochs: int) -> tuple[float, float]:
    """Returns the time from the first to the last epoch, and the command's, divided by half of what is slept meanwhile.

    The command also trains the winners again, whose exams are no epochs of the study.
    """
    whole = play(folder, name, SLEEP, epochs)
    data = read(str(folder / name))
    finished, again = sorted(data.epochs["finished"].to_pylist()), sum(data.exams["epoch"].to_pylist())
    slept = SLEEP * len(finished) / 2
    return (finished[-1] - finished[0] + SLEEP) / slept, whole / (slept + SLEEP * again / 2)


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows; with `quick` one round instead of three, and fewer sleeping epochs."""
    ours, default, reused = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for n in range(1 if quick else 3):
            ours.append(play(folder, f"instant{n}", 0, 400))
            default.append(timed([sys.executable, "-c", RAW, "default", str(folder / f"raw{n}")]))
            reused.append(timed([sys.executable, "-c", RAW, "reuse", str(folder / f"reuse{n}")]))
        slept = [sleeping(folder, f"sleeping{n}", 100 if quick else 200) for n in range(1 if quick else 3)]
    return [
        row("hpo run / raw Tune, default", [a / b for a, b in zip(ours, default, strict=True)], "ratio", "<= 0.07"),
        row("hpo run / raw Tune, reuse_actors", [a / b for a, b in zip(ours, reused, strict=True)], "ratio"),
        row("0.1 s epochs on 2 workers / half the sleep", [inside for inside, _ in slept], "ratio", "<= 1.05"),
        row("the same with start and end / half the sleep", [whole for _, whole in slept], "ratio", "<= 1.25"),
        row("hpo run, 1,600 instant epochs", ours, "s"),
        row("raw Tune, default", default, "s"),
        row("raw Tune, reuse_actors", reused, "s"),
    ]


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
