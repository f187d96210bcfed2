"""Methods by number of workers, and with stragglers: `python tests/bench/bench_workers.py [--write]`.

Replays six of TaskSet's tasks (hpo/replay/recorded/taskset.yaml, 50 epochs a full training) if ../shared/data has their
curves; configurations take the surrogate's prediction. Regret: 0 is the best known value, 1 the median of whole trainings.
`--write` puts the tables into docs/measured/which-method.md, whose sentences rest on them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import CURVES, ROOT, Row, command, markdown, tell, write

from hpo.replay import Replay, Weather, replay
from hpo.replay.curve_forest import CurveForest
from hpo.replay.sources import RecordedTable, load
from hpo.study.study import Study

STUDY = ROOT / "hpo" / "replay" / "recorded" / "taskset.yaml"
PAGE = ROOT / "docs" / "measured" / "which-method.md"
FULL = 50  # epochs of a full training
WORKERS = (1, 4, 16, 64)
DRAWN = 10_000
SCALED = ("random", "bayesian", "sha", "hyperband", "asha")

Values = NDArray[np.float64]


@cache
def tasks() -> tuple[str, ...]:
    return tuple(str(name) for name in np.load(CURVES)["tasks"])


@cache
def recorded(task: str) -> RecordedTable:
    study = Study.load(STUDY)
    return load(str(CURVES), study.space, study.metric, task)


@dataclass(frozen=True)
class Game:
    """A method on a task with a seed: regret after each charged epoch, virtual time in full trainings, processor seconds."""

    regret: Values
    time: float
    seconds: float


def play(
    task: str,
    method: str,
    seed: int,
    *,
    trainings: int,
    workers: int = 4,
    weather: Weather | None = None,
) -> Game:
    study = Study.load(STUDY, methods=[method], seeds=[1_000 * tasks().index(task) + seed], epochs=trainings * FULL)
    began = time.process_time()
    played = replay(study, table=recorded(task), between="surrogate", workers=workers, weather=weather)
    seconds = time.process_time() - began
    return Game(regret(played, task), played.runs[0].now / FULL, seconds)


@cache
def reference(task: str) -> tuple[float, float]:
    """Returns the values of regrets 0 and 1: the best value and the median of whole trainings.

    They are those of DRAWN random configurations, since the surrogate's predictions avoid the extremes.
    """
    study, table = Study.load(STUDY), recorded(task)
    whole, rng = np.flatnonzero(table.known == table.epochs), np.random.default_rng(0)
    features = np.array([study.space.features(table.configs[i]) for i in whole])
    drawn = np.array([study.space.features(study.space.sample(rng)) for _ in range(DRAWN)])
    curves = CurveForest(features, table.values[whole]).curves(drawn)
    return float(curves.min()), float(np.median(curves[:, -1]))


def regret(played: Replay, task: str) -> Values:
    """Returns the regret of the best value so far, after each charged epoch of the only run."""
    best, median = reference(task)
    values = np.array([charge.value for charge in played.charges])
    lowest = np.minimum.accumulate(np.where(np.isfinite(values), values, np.inf))
    return np.clip((lowest - best) / (median - best), 0.0, 1.0)


def at(games: Sequence[Game], trainings: int) -> Values:
    """Returns each game's regret when the epochs of `trainings` full trainings are charged."""
    return np.array([game.regret[min(trainings * FULL, len(game.regret)) - 1] for game in games])


def worker_tables(few: int, seeds: int) -> tuple[str, str]:
    """Returns mean regret and virtual time by number of workers, and how much longer runs take with stragglers."""
    budget, games = WORKERS[-1], [(task, seed) for task in tasks()[:few] for seed in range(seeds)]
    regrets, waits = [], []
    for method in SCALED:
        cells, times = [], {}
        for workers in WORKERS:
            found = [play(t, method, s, trainings=budget, workers=workers) for t, s in games]
            times[workers] = [game.time for game in found]
            cells.append(f"{at(found, budget).mean():.3f} in {np.mean(times[workers]):.1f}")
        regrets.append([method, *cells])
        slow = [
            play(t, method, s, trainings=budget, workers=16, weather=Weather(stragglers=1.0, seed=s)) for t, s in games
        ]
        ratio = np.array([game.time for game in slow]) / np.array(times[16])
        waits.append([method, f"{np.median(ratio):.2f}", f"{ratio.min():.2f} to {ratio.max():.2f}"])
    first = markdown(("method", *(f"{n} workers" for n in WORKERS)), regrets)
    return first, markdown(("method", "times as long", "least to most"), waits)


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    if not CURVES.exists():
        print(f"The methods are not compared: there are no recorded curves at {CURVES}.")
        return []
    regrets, waits = worker_tables(1 if quick else 6, 1)
    for name, text in (("by workers", regrets), ("stragglers", waits)):
        print(f"\n{name}\n{text}")
        if put:
            write(PAGE, f"table: {name}", text)
    return []


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
