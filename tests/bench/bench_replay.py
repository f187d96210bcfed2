"""How fast a replay is: `python tests/bench/bench_replay.py [--quick] [--json FILE]`.

ASHA plays about 10,000 and then about 100,000 trials over recorded curves on 1,000 virtual workers (TaskSet's first task
if ../shared/data has it, otherwise power laws; the speed is the same). Measured are the processor seconds of the one core
it runs on, the peak memory of its process, the microseconds per event, and their growth from small to large. Each
measurement runs in its own process; small and large alternate.

A suite: 13 tasks x 12 methods x 20 seeds x 500 epochs of recorded fine-tuning (if ../shared/data has it) into a store by two
processes, from a few seeds: what a seed takes in all processes together, times 20.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import CURVES, ROOT, Row, command, row, tell

from hpo.replay import replay
from hpo.replay.sources import RecordedTable, load
from hpo.study.study import Study

QUICKTUNE = CURVES.parent / "quicktune-a.parquet"
WORKERS = 1_000
EPOCHS_A_TRIAL = 3  # a little more than ASHA spends on a trial here


def recorded(study: Study) -> RecordedTable:
    if CURVES.exists():
        return load(str(CURVES), study.space, study.metric, str(np.load(CURVES)["tasks"][0]))
    rng, epochs = np.random.default_rng(0), study.budget.max_epochs
    configs = tuple(study.space.sample(rng) for _ in range(1_000))
    values = rng.random((1_000, 1)) + np.arange(1, epochs + 1) ** -0.7
    return RecordedTable("made", configs, values, np.full(1_000, epochs), np.zeros(1_000, bool), np.ones(1_000))


def speed(trials: int) -> dict[str, float]:
    """Plays ASHA until about `trials` trials have begun, in this process, whose peak memory it reports."""
    study = Study.load(ROOT / "hpo" / "replay" / "recorded" / "taskset.yaml", methods=["asha"], seeds=[0])
    table = recorded(study)
    began = time.process_time()  # of one core; other work on the machine does not count
    played = replay(study, table=table, workers=WORKERS, budget=EPOCHS_A_TRIAL * trials)
    seconds = time.process_time() - began
    (run,) = played.runs
    events = len(played.charges) + sum(trial.status == "failed" for trial in run.trials)
    return {
        "trials": len(run.trials),
        "seconds": seconds,
        "microseconds_an_event": 1e6 * seconds / events,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def apart(trials: int) -> dict[str, float]:
    """Runs `speed` in its own process, so that the peak memory is that of one measurement."""
    command = [sys.executable, __file__, "--speed", str(trials)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


SUITE = """
study: suite
trainable: curves
budget: {{epochs: 500, max_epochs: 50}}
methods: [random, sobol, local, genetic, tpe, bayesian, {{asha: {{eta: 4}}}}, hyperband, bohb, asha+tpe, asha+bayesian,
          multifidelity]
seeds: {seeds}
metric: val_accuracy
"""
SEEDS = 20


def suite(seeds: int) -> float:
    """Returns the processor minutes that the whole suite takes, from a replay of it with so many seeds."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "suite.yaml"
        study.write_text(SUITE.format(seeds=list(range(seeds))))
        words = [
            "replay",
            study,
            "--curves",
            QUICKTUNE,
            "--tasks",
            "all",
            "--space",
            "from-table",
            "--store",
            f"{folder}/s",
        ]
        before = _children()
        command = [sys.executable, "-m", "hpo.cli", *map(str, words), "--processes", "2", "--format", "json"]
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
        return (_children() - before) / 60 * SEEDS / seeds


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main(quick: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    small, large = (2_000, 20_000) if quick else (10_000, 100_000)
    pairs = [(apart(small), apart(large)) for _ in range(1 if quick else 3)]
    growth = [b["microseconds_an_event"] / a["microseconds_an_event"] for a, b in pairs]
    wide = [b for _, b in pairs]
    trials = f"{min(b['trials'] for b in wide):,.0f}"
    return [
        row(f"replay: cost of an event, {large:,} trials against {small:,}", growth, "ratio", "at most 1.2"),
        row(f"replay: ASHA, {WORKERS:,} workers, {trials} trials", [b["seconds"] for b in wide], "cpu s", "at most 60"),
        row("replay: its peak memory", [b["peak_gb"] for b in wide], "GB", "at most 1"),
        row("replay: an event", [b["microseconds_an_event"] for b in wide], "us"),
        *([row(
            "replay: 13 tasks x 12 methods x 20 seeds x 500 epochs, a store", [suite(1 if quick else 2)], "cpu min",
            "at most 40: 20 minutes on two cores",
        )] if QUICKTUNE.exists() else []),
    ]  # fmt: skip


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--speed", type=int, metavar="TRIALS", help="one measurement, in this process")
    given = parser.parse_args()
    if given.speed:
        print(json.dumps(speed(given.speed)))
    else:
        tell(main(given.quick), given.json)
