"""Replay: its speed with 1,000 virtual workers, and how ASHA scales from 1 to 500: `python tests/bench/bench_replay.py`.

Speed: ASHA plays 10,000 and then 100,000 trials over recorded curves on 1,000 virtual workers; seconds, peak memory and
microseconds per event. Scaling (Li et al. 2020, where time falls near-linearly with workers): virtual time until a value
that is good for the task is reached, on recorded curves of TaskSet where ../shared/data has them. `--picture FILE` draws.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
CURVES = ROOT.parent / "shared" / "data" / "curves" / "taskset-dpl.npz"
sys.path.insert(0, str(ROOT))

from hpo.recorded import RecordedTable, load  # noqa: E402
from hpo.replay import Replay, replay  # noqa: E402
from hpo.study import Study  # noqa: E402

WORKERS = (1, 2, 5, 10, 25, 50, 100, 250, 500)
TASKSET = """
study: taskset
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-8, high: 10, log: true}
  beta1: {type: float, low: 0.0, high: 1.0}
  beta2: {type: float, low: 0.0, high: 1.0}
  epsilon: {type: float, low: 1.0e-12, high: 1.0e+6, log: true}
  l1: {type: float, low: 1.0e-12, high: 1.0e+6, log: true}
  l2: {type: float, low: 1.0e-12, high: 1.0e+6, log: true}
  linear_decay: {type: float, low: 1.0e-12, high: 1.0, log: true}
  exponential_decay: {type: float, low: 1.0e-12, high: 1.0, log: true}
budget: {epochs: 20000, max_epochs: 51}
methods: [{asha: {eta: 4}}]
metric: valid_loss
mode: min
seeds: [0, 1, 2]
"""


def study_of(text: str) -> Study:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(text)
        return Study.load(path)


def made_table(study: Study, n: int = 1000) -> RecordedTable:
    """Power-law curves where no recorded ones are at hand: the speed is the same."""
    rng = np.random.default_rng(0)
    configs = tuple(study.space.sample(rng) for _ in range(n))
    values = rng.random((n, 1)) + np.arange(1, 52) ** -0.7
    return RecordedTable("made", configs, values, np.full(n, 51), np.zeros(n, bool), np.ones(n))


def table(study: Study) -> RecordedTable:
    if CURVES.exists():
        return load(str(CURVES), study.space, study.metric, first_task())
    return made_table(study)


def first_task() -> str:
    return str(np.load(CURVES)["tasks"][0])


def speed(trials: int, workers: int = 1000) -> dict[str, Any]:
    """ASHA until `trials` trials have begun: measured in this process, whose peak memory it reports."""
    study = study_of(TASKSET.replace("seeds: [0, 1, 2]", "seeds: [0]"))
    curves = table(study)
    began = time.process_time()  # of one core; other work on the machine is not ours
    budget = 3 * trials  # epochs: what a trial of ASHA takes here on average
    played = replay(study, table=curves, workers=workers, budget=budget)
    seconds = time.process_time() - began
    events = len(played.charges) + sum(t.status == "failed" for run in played.runs for t in run.trials)
    return {
        "trials": sum(len(run.trials) for run in played.runs),
        "events": events,
        "seconds": seconds,
        "microseconds_an_event": 1e6 * seconds / events,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def apart(trials: int) -> dict[str, Any]:
    """`speed` in a process of its own, so that one measurement's memory is not the next one's."""
    command = [sys.executable, __file__, "--speed", str(trials)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def reached(played: Replay, good: float) -> list[float]:
    """For each run: the virtual time at which it first had a value as good as `good`; inf where it never had."""
    found = {str(run.key): np.inf for run in played.runs}
    for charge in played.charges:
        if charge.value <= good:
            found[str(charge.run)] = min(found[str(charge.run)], charge.at)
    return list(found.values())


def scaling(workers: tuple[int, ...] = WORKERS, budget: int = 20_000, seeds: int = 3) -> list[dict[str, Any]]:
    """Virtual time to the best percent of all recorded configurations' best values, by number of workers."""
    study = study_of(TASKSET.replace("[0, 1, 2]", str(list(range(seeds)))))
    curves = table(study)
    good = float(np.quantile(np.nanmin(curves.values, axis=1), 0.002))
    rows = []
    for count in workers:
        times = reached(replay(study, table=curves, workers=count, budget=budget), good)
        rows.append({"workers": count, "good": good, "times": times, "median": statistics.median(times)})
    for row in rows:
        row["speedup"] = rows[0]["median"] / row["median"]
    return rows


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.6), layout="constrained")
    workers = [row["workers"] for row in rows]
    axes.fill_between(workers, [min(r["times"]) for r in rows], [max(r["times"]) for r in rows], alpha=0.2, lw=0)
    axes.plot(workers, [row["median"] for row in rows], marker="o", label="ASHA, median of seeds")
    axes.plot(workers, [rows[0]["median"] / w for w in workers], ls=":", color="grey", label="linear")
    axes.set(xscale="log", yscale="log", xlabel="virtual workers", ylabel="virtual time to a good value, epochs")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def main(quick: bool = False, draw: Path | None = None) -> list[dict[str, Any]]:
    """Rows of the bench's table."""
    small, large = (1_000, 10_000) if quick else (10_000, 100_000)
    pairs = [(apart(small), apart(large)) for _ in range(1 if quick else 3)]
    growth = [b["microseconds_an_event"] / a["microseconds_an_event"] for a, b in pairs]
    seconds = [b["seconds"] for _, b in pairs]
    rows = [
        row(f"cost of an event, {large:,} against {small:,} trials", growth, "ratio", "at most 1.2"),
        row(f"ASHA, 1,000 workers, {pairs[0][1]['trials']:,} trials", seconds, "cpu s", "at most 60"),
        row("its peak memory", [b["peak_gb"] for _, b in pairs], "GB", "at most 1"),
    ]
    if CURVES.exists():
        found = scaling(WORKERS[:5] if quick else WORKERS, 5_000 if quick else 20_000)
        if draw is not None:
            picture(found, draw)
        for at in found[1:]:
            spread = [a / b for a, b in zip(found[0]["times"], at["times"], strict=True)]
            rows.append(row(f"ASHA, speedup to a good value with {at['workers']} workers", spread, "ratio", ""))
    return rows


def row(what: str, values: list[float], unit: str, bar: str) -> dict[str, Any]:
    return {
        "what": what,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "unit": unit,
        "bar": bar,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.speed:
        print(json.dumps(speed(given.speed)))
        sys.exit()
    results = main(given.quick, given.picture)
    for r in results:
        print(f"{r['what']:60s} {r['median']:10.3f} {r['min']:10.3f} {r['max']:10.3f} {r['unit']:6s}{r['bar']}")
    if given.json:
        given.json.write_text(json.dumps(results))
