"""Orchestration compared with other tools that run the same training.

    python tests/bench/bench_peers.py [--quick] [--json FILE] [--peers PYTHON]

Random search on two workers, from the command's start to its end: `hpo run`, raw Ray Tune with default settings and with
reuse_actors, Optuna (processes that share a journal file), Syne Tune (its local backend). Epochs first take no time, which
leaves the tools' own time, and then sleep, compared with the sleep alone. The tools take turns. PYTHON (or HPO_PEERS) is a
Python with optuna and syne-tune; tools that cannot be imported are left out.
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

SIDES = Path(__file__).parent / "sides"
WORKERS = 2
STUDY = """
study: side
trainable: curves
data: {{seconds: {seconds}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
  optimizer: {{type: choice, values: [adam, sgd, rmsprop, adadelta]}}
budget: {{epochs: {budget}, max_epochs: {epochs}}}
methods: [random]
parallelism: {workers}
"""


def has(python: str, package: str) -> bool:
    found = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False)
    return found.returncode == 0


def commands(peers: str, trials: int, epochs: int, seconds: float, folder: Path) -> dict[str, list[str]]:
    """Returns the command of each tool."""
    study = folder / "side.yaml"
    study.write_text(STUDY.format(seconds=seconds, budget=trials * epochs, epochs=epochs, workers=WORKERS))
    ours = ["-m", "hpo.cli", "run", str(study), "--store", str(folder / "store"), "--workers", str(WORKERS)]
    size = [str(trials), str(epochs), str(seconds), str(WORKERS), str(folder)]
    found = {
        "hpo run": [sys.executable, *ours, "--quiet", "--no-report"],
        "raw Tune, default": [sys.executable, str(SIDES / "tune_side.py"), *size, "default"],
        "raw Tune, reuse_actors": [sys.executable, str(SIDES / "tune_side.py"), *size, "reuse"],
    }
    if has(peers, "optuna"):
        found["Optuna"] = [peers, str(SIDES / "optuna_side.py"), *size]
    if has(peers, "syne_tune"):
        found["Syne Tune"] = [peers, str(SIDES / "syne_side.py"), *size]
    return found


def timed(command: list[str], folder: Path) -> float:
    """Returns the wall seconds of a child process that must succeed."""
    path = os.pathsep.join([str(ROOT), str(SIDES)])
    variables = {**os.environ, "PYTHONPATH": path, "SYNETUNE_FOLDER": str(folder / "syne"), "PYTHONWARNINGS": "ignore"}
    with (folder / "log").open("wb") as log:
        began = time.perf_counter()
        ended = subprocess.run(command, stdout=log, stderr=log, env=variables, cwd=folder, check=False)
        seconds = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{command} failed:\n{(folder / 'log').read_text()[-2000:]}")
    return seconds


def measure(peers: str, trials: int, epochs: int, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Returns the wall seconds of each tool in each round."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as first:
            names = list(commands(peers, trials, epochs, seconds, Path(first)))
        for name in names:
            with tempfile.TemporaryDirectory() as scratch:
                command = commands(peers, trials, epochs, seconds, Path(scratch))[name]
                found.setdefault(name, []).append(timed(command, Path(scratch)))
                print(f"{name:24s} {found[name][-1]:8.2f} s", flush=True)
    return found


def main(quick: bool = False, peers: str = sys.executable) -> list[Row]:
    """Returns the bench's rows."""
    trials, epochs, rounds, sleep = (16, 10, 1, 0.1) if quick else (64, 25, 3, 0.1)
    rows = []
    instant = measure(peers, trials, epochs, 0.0, rounds)
    size = f"{trials} trials x {epochs} epochs"
    for name, seconds in instant.items():
        if name != "hpo run":
            ratios = [ours / theirs for ours, theirs in zip(instant["hpo run"], seconds, strict=True)]
            bar = (
                "at most 0.25" if name == "raw Tune, default" and not quick else ""
            )  # start-up weighs more with few trials
            rows.append(row(f"hpo run / {name}, {size}, instant", ratios, "ratio", bar))
    some = trials // 2
    sleeping = measure(peers, some, epochs, sleep, 1)
    ideal = some * epochs * sleep / WORKERS
    rows += [
        row(
            f"{name} / the sleep alone, {some} trials x {epochs} epochs of {sleep} s",
            [s / ideal for s in taken],
            "ratio",
        )
        for name, taken in sleeping.items()
    ]
    return rows + [row(f"{name}, {size}, instant", seconds, "s") for name, seconds in instant.items()]


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--peers", default=os.environ.get("HPO_PEERS", sys.executable), metavar="PYTHON")
    given = parser.parse_args()
    tell(main(given.quick, given.peers), given.json)
