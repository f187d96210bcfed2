"""Orchestration against raw Ray Tune on the same machine in one run: `python tests/bench/bench_orchestration.py [--json FILE]`.

Instant epochs: 4 methods x 400 epochs by `hpo run`, against raw Tune (default settings, function trainable) doing
1,600 epochs in 64 trials, and against the same with reuse_actors (class trainable); start-up included in all.
Sleeping epochs: 0.2 s each on 2 workers; the time from the first to the last epoch against half the sleep.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def timed(command: list[str]) -> float:
    """Wall seconds of a child process that must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


def play(folder: Path, name: str, seconds: float, epochs: int) -> float:
    """`hpo run` of the study with two workers, its report left out."""
    study = folder / f"{name}.yaml"
    study.write_text(STUDY.format(seconds=seconds, epochs=epochs))
    arguments = ["run", str(study), "--store", str(folder / name), "--workers", "2", "--quiet", "--no-report"]
    return timed([sys.executable, "-m", "hpo.cli", *arguments])


def sleeping(folder: Path, epochs: int) -> float:
    """How much longer than half the sleep the epochs took, from the first to the last one's arrival."""
    play(folder, "sleeping", 0.2, epochs)
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from hpo.store import read

    finished = sorted(read(str(folder / "sleeping")).epochs["finished"].to_pylist())
    return (finished[-1] - finished[0] + 0.2) / (0.2 * len(finished) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer sleeping epochs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ours = play(folder, "instant", 0, 400)
        default = timed([sys.executable, "-c", RAW, "default", str(folder / "raw")])
        reused = timed([sys.executable, "-c", RAW, "reuse", str(folder / "reuse")])
        overhead = sleeping(folder, 75 if given.quick else 400)
    rows = {
        "hpo run, 1,600 instant epochs, s": ours,
        "raw Tune by default, s": default,
        "raw Tune with reuse_actors, s": reused,
        "hpo run / raw Tune by default (at most 0.25)": ours / default,
        "hpo run / raw Tune with reuse_actors": ours / reused,
        "0.2 s epochs on 2 workers / half the sleep (at most 1.15)": overhead,
    }
    for name, value in rows.items():
        print(f"{name:<60} {value:8.3f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
