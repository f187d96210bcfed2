"""What learning loses with many workers: `python tests/bench/bench_parallel.py [--quick] [--json FILE]`.

After 50 results on smooth functions, each searcher that learns is asked for 1,000 suggestions while none of them ends: how
far apart are they, and what does one cost? Spread is the median distance to the nearest other suggestion, as a share of that
of random points; 0 is a collapse. Then it plays 200 trials by 100 workers and by one: regret relative to random search's.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell
from tasks import Task, play, smooth

from hpo.methods.protocol import Searcher, Setting
from hpo.methods.registry import build_searcher
from hpo.methods.searchers.kde import Kde
from hpo.study.values import Method

SEARCHERS = ("tpe", "genetic", "local", "cmaes")
KNOWN, PENDING = 50, 1000
TRIALS, WORKERS = 200, 100
LEAST_SPREAD = 0.02  # of random points': less is a collapse
SEEDS, QUICK_SEEDS = 10, 2


def build(name: str, setting: Setting) -> Searcher:
    return Kde(setting, [1]) if name == "bohb" else build_searcher(name, setting)


def spread(points: NDArray[np.float64]) -> float:
    """Returns the median distance of points [n, d] to their nearest neighbours, relative to that of random points."""
    near = [
        np.median(cKDTree(p).query(p, k=2)[0][:, 1]) for p in (points, np.random.default_rng(0).random(points.shape))
    ]
    return float(near[0] / near[1])


def pending(name: str, task: Task, seed: int, count: int) -> tuple[float, float]:
    """Returns the spread of so many suggestions without results after KNOWN with one, and the seconds of one."""
    searcher = build(name, Setting(task.space, 10_000, 1, seed))
    answer = task.oracle()
    for _ in range(KNOWN):
        config: Any = searcher.suggest()
        searcher.observe(config, 1, float(answer(config)[0][0]))
        searcher.close(config)
    began = time.process_time()
    points = np.array([task.space.encode(searcher.suggest() or {}) for _ in range(count)])
    return spread(points), (time.process_time() - began) / count


@cache
def regret(method: str, task: int, workers: int, seeds: int) -> float:
    """Returns the median regret after TRIALS trials by so many workers."""
    chosen = smooth()[task]
    games = [play(chosen, Method(method, method), seed, TRIALS, workers) for seed in range(seeds)]
    return float(np.median([game.regret[-1] for game in games]))


def main(quick: bool = False) -> Sequence[Row]:
    """Returns the rows of the bench's table."""
    seeds, count = (QUICK_SEEDS, 100) if quick else (SEEDS, PENDING)
    tasks, rows = smooth(), []
    for name in (*SEARCHERS, "bohb"):
        found = [pending(name, task, seed, count) for task in tasks for seed in range(1 if quick else 3)]
        rows.append(
            row(f"{name}, spread of {count} pending", [s for s, _ in found], "ratio", f"at least {LEAST_SPREAD}")
        )
        rows.append(row(f"{name}, a suggestion with {count} pending", [s for _, s in found], "s", ""))
    for name in (*SEARCHERS, "bohb"):
        for workers in (1, WORKERS):
            ratios = [regret(name, i, workers, seeds) / regret("random", i, workers, seeds) for i in range(len(tasks))]
            rows.append(row(f"{name}, regret by {workers} workers of random search's", ratios, "ratio", "at most 1.0"))
    return rows


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
