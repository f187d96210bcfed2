"""The driver on a cluster: the busy share of its slots, and its cost over 10,000 trials.

    python tests/bench/bench_cluster.py [--quick] [--json FILE] [--only idle|scale]

Idle share: two slots, epochs of 0.5 s, four methods and three seeds in one study, then ASHA alone with three seeds; from
the start of the first epoch to the end of the last. Scale: 64 slots that take no CPU, an instant trainable, random search
over one-epoch trials: results per second, and CPU time per result and memory of the driver, around the 1,000th and the
10,000th trial.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, tell

from hpo.store import read

STUDY = """
study: bench
trainable: curves
data: {{seconds: {seconds}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01, 0.03]}}
  optimizer: {{type: choice, values: [adam, sgd, rmsprop, adadelta]}}
budget: {{epochs: {epochs}, max_epochs: {most}}}
methods: {methods}
seeds: {seeds}
parallelism: {parallelism}
resources: {{cpus: {cpus}}}
"""
FOUR = "[grid, random, bayesian, {asha: {eta: 2}}]"
DRIVER = """
import json, resource, sys, time
from pathlib import Path
from cluster.connect import connect
from hpo import store
from hpo.game.runs import runs_of
from hpo.live import session
from hpo.live.dispatch import Dispatch
from hpo.live.tune.driver import drive
from hpo.study.study import Study

def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

study = Study.load(sys.argv[1], store=sys.argv[2])
slots = int(sys.argv[3])
writer = store.StudyWriter.open(study.store, study=study.study, definition=study.definition, digest=study.digest,
                                environment={}, space_kinds=study.kinds)
samples = []

def observe(dispatch, slots):
    done = sum(run.ledger.committed for run in dispatch.arena.runs)
    samples.append((done, time.monotonic(), time.process_time(), memory()))

with connect(None, workers=slots, cpus_per_worker=study.resources.cpus):
    dispatch = Dispatch(study, runs_of(study), writer, session.checkpoint_place(study), session.AHEAD)
    drive(dispatch, study.resources, limit=slots, observe=observe)
print(json.dumps(samples))
"""


def write(folder: Path, **values: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(**values))
    return path


def child(*command: object) -> str:
    """Returns the output of a child process that must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def idle(folder: Path, methods: str, seeds: str, epochs: int) -> float:
    """Returns the share of two slots' time without training."""
    folder.mkdir()
    study = write(folder, seconds=0.5, epochs=epochs, most=8, methods=methods, seeds=seeds, parallelism=4, cpus=1)
    child("-m", "hpo.cli", "run", study, "--store", folder / "store", "--workers", 2, "--quiet", "--no-report")
    rows = read(str(folder / "store")).epochs.select(["finished", "seconds"]).to_pylist()
    began = min(row["finished"] - row["seconds"] for row in rows)
    return 1 - sum(row["seconds"] for row in rows) / (2 * (max(row["finished"] for row in rows) - began))


def scale(folder: Path, slots: int, epochs: int, most: int = 1) -> list[tuple[float, ...]]:
    """Returns samples of the driver: epochs done, wall seconds, CPU seconds, resident MB. `most`: the epochs of a trial."""
    folder.mkdir()
    study = write(
        folder, seconds=0, epochs=epochs, most=most, methods="[random]", seeds="[0]", parallelism=slots, cpus=0
    )
    said = child("-c", DRIVER, study, folder / "store", slots)
    return [tuple(sample) for sample in json.loads(said.splitlines()[-1])]  # Ray may have warned before


def between(samples: list[tuple[float, ...]], first: float, last: float) -> tuple[float, float]:
    """Returns results per second and CPU seconds per result between two numbers of finished trials."""
    inside = [sample for sample in samples if first <= sample[0] <= last]
    results = inside[-1][0] - inside[0][0]
    return results / (inside[-1][1] - inside[0][1]), (inside[-1][2] - inside[0][2]) / results


def main(quick: bool = False, only: str | None = None) -> list[Row]:
    """Returns the bench's rows; with `quick` fewer epochs, 8 slots, 4,000 trials. `only`: idle or scale."""
    slots, trials, epochs = (8, 4_000, 16) if quick else (64, 11_000, 32)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        if only != "scale":
            for name, methods, times in (("four methods", FOUR, 1), ("ASHA alone", "[{asha: {eta: 2}}]", 2)):
                share = 1 - idle(Path(scratch) / name.replace(" ", "-"), methods, "[0, 1, 2]", times * epochs)
                rows.append(row(f"{name}, 3 seeds, 0.5 s epochs: busy share of 2 slots", [share], "ratio", ">= 0.95"))
        if only != "idle":
            samples = scale(Path(scratch) / "scale", slots, trials)
            early = between(samples, 500, 1_500)
            late = between(samples, trials - 1_500, trials - 500)
            at = {n: next(s[3] for s in samples if s[0] >= n) for n in (1_000, trials - 1_000)}
            growth = 1e3 * (at[trials - 1_000] - at[1_000]) / (trials - 2_000)
            where = f"{slots} slots, trial {trials - 1_000:,}"
            rows += [
                row(
                    f"{where}: driver CPU per result / the same at trial 1,000", [late[1] / early[1]], "ratio", "<= 1.1"
                ),
                row(f"{where}: results per second", [late[0]], "1/s"),
                row(f"{where}: driver CPU per result", [1e3 * late[1]], "ms", "<= 2.5"),
                row(f"{slots} slots, trial 1,000: driver CPU per result", [1e3 * early[1]], "ms"),
                row(f"{where}: driver's memory", [at[trials - 1_000]], "MB"),
                row(f"{where}: memory per finished trial", [growth], "kB", "<= 10"),
            ]
            segments = scale(Path(scratch) / "segments", slots, 2 * trials, most=16)
            cost = between(segments, trials, 2 * trials - 1_000)[1]
            rows.append(row(f"{slots} slots, trials of 16 epochs: driver CPU per epoch", [1e3 * cost], "ms", "<= 0.5"))
    return rows


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--only", choices=["idle", "scale"])
    given = parser.parse_args()
    tell(main(given.quick, given.only), given.json)
