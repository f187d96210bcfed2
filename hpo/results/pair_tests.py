"""Tests between methods: every pair over the blocks that both completed, and mean ranks over whole blocks. Pure.

A block is what pairs are made of: a seed, a task and a seed, or a task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from hpo.results import statistics
from hpo.results.statistics import Vector, mean_interval
from hpo.results.values import UNDECIDED, PairTest, Ranking, RunSummary
from hpo.study.space import pairs

POINT = 0.01  # the difference that people ask about: one point of accuracy
FRIEDMAN_BLOCKS = 5  # fewest blocks for Friedman's test
TASK_BLOCKS = 6  # fewest tasks that serve as blocks: with fewer the signed-rank test could never decide


def block_kind(runs: Sequence[RunSummary]) -> str:
    """Returns what pairs are made of: seeds; with several tasks both, and only the tasks if there are enough of them."""
    tasks = len({run.study for run in runs})
    return "seed" if tasks <= 1 else "task, seed" if tasks < TASK_BLOCKS else "task"


def block_values(
    runs: Sequence[RunSummary], labels: Sequence[str], value: Callable[[RunSummary], float], mode: str, kind: str,
    unknown: float = -math.inf,
) -> Vector:  # fmt: skip
    """Returns values [blocks, methods], oriented so that larger is better; NaN for a method without a complete run.

    `unknown` stands for a complete run without a value; -inf is worse than any value.
    """
    sign = 1.0 if mode == "max" else -1.0
    cells: dict[tuple[str, int], dict[str, list[float]]] = {}
    for run in runs:
        if run.complete:
            found = sign * value(run)
            block = (run.study, 0 if kind == "task" else run.seed)
            cells.setdefault(block, {}).setdefault(run.method, []).append(unknown if math.isnan(found) else found)
    rows = [[np.mean(row[label]) if label in row else math.nan for label in labels] for row in cells.values()]
    return np.array(rows, dtype=float).reshape(-1, len(labels))


def whole_blocks(values: Vector) -> Vector:
    """Returns the blocks in which every method has a value, which may be -inf."""
    return np.asarray(values[~np.isnan(values).any(axis=1)])


def pair_tests(labels: Sequence[str], values: Vector, mode: str, point: float = POINT) -> list[PairTest]:
    """Tests every pair of methods over oriented values [blocks, methods], with Holm's correction."""
    columns = dict(zip(labels, values.T, strict=True))
    differences = {(a, b): _differences(columns[a], columns[b]) for a, b in pairs(list(labels))}
    found = {pair: statistics.signed_rank(d) for pair, d in differences.items()}
    adjusted = statistics.holm([p for p, _ in found.values()])
    sign = 1.0 if mode == "max" else -1.0
    return [
        _pair_test(pair, differences[pair], found[pair], float(p), sign, point, statistics.ALPHA / len(found))
        for pair, p in zip(found, adjusted, strict=True)
    ]


def _differences(a: Vector, b: Vector) -> Vector:
    """a - b over the blocks that both have; 0 for two runs without a value."""
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    same = a == b
    return np.where(same, 0.0, np.where(same, 0.0, a) - np.where(same, 0.0, b))


def _pair_test(
    pair: tuple[str, str], d: Vector, test: tuple[float, int], adjusted: float, sign: float, point: float, alpha: float
) -> PairTest:
    p, direction = test
    finite = sign * d[np.isfinite(d)]
    mean, ci95 = mean_interval(list(finite))
    # If ranks and mean point in different directions, the data do not show which method is better.
    agree = mean is None or len(finite) < len(d) or direction * sign * mean > 0
    decided = adjusted < statistics.ALPHA and agree
    verdict = UNDECIDED if not decided else "a better" if direction > 0 else "b better"
    more = statistics.more_pairs(finite, len(d), point, alpha)
    return PairTest(*pair, len(d), mean, ci95, p, adjusted, verdict, more)


def ranking(labels: Sequence[str], values: Vector) -> Ranking | None:
    """Runs Friedman's and Nemenyi's tests over whole blocks [blocks, methods].

    Returns None for fewer than five blocks or three methods.
    """
    if len(values) < FRIEDMAN_BLOCKS or len(labels) < 3:
        return None
    test = statistics.friedman(values)
    return Ranking(
        blocks=test.blocks,
        statistic=test.statistic,
        p=test.p,
        mean_ranks=dict(zip(labels, map(float, test.mean_ranks), strict=True)),
        critical_difference=test.critical_difference,
        groups=tuple(tuple(labels[i] for i in group) for group in test.cliques),
        pairwise={
            (labels[i], labels[j]): float(test.pairwise[i, j])
            for i in range(len(labels))
            for j in range(i + 1, len(labels))
        },
    )
