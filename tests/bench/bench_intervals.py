"""Coverage of the comparison's intervals in simulation: means, interquartile means, probabilities of improvement.

    python tests/bench/bench_intervals.py [--quick] [--json FILE] [--write]

Means: 20,000 simulated sets of 3, 5, 10 and 30 runs of a shape, judged by `statistics.interval` within the metric's
bounds, beside Student's interval. Of collapsed runs the bench says apart how often the interval covers when a collapsed
run was among the runs, and how often that run was named. `min` and `max` are three standard errors below and above the
measured share. --write puts the tables into docs/explanation/statistics.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import special, stats

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, row, tell, write

from hpo.results.aggregates import block_counts, interquartile_interval, interquartile_mean, probability
from hpo.results.bounds import metric_bounds
from hpo.results.coverage import far_runs
from hpo.results.statistics import interval, share_interval

Array = np.ndarray
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]

SEEDS = (3, 5, 10, 30)
PAGE = ROOT / "docs" / "explanation" / "statistics.md"


def beta(mean: float, deviation: float) -> Draw:
    """Returns draws from the beta distribution with this mean and standard deviation."""
    size = mean * (1 - mean) / deviation**2 - 1
    return lambda rng, shape: rng.beta(mean * size, (1 - mean) * size, shape)


SHAPES: dict[str, tuple[str, Draw, float]] = {  # metric, draw, true mean
    "accuracy, normal: 0.8, deviation 0.02": ("accuracy", lambda rng, shape: rng.normal(0.8, 0.02, shape), 0.8),
    "accuracy near 1 (beta): 0.99, deviation 0.01": ("accuracy", beta(0.99, 0.01), 0.99),
    "accuracy of 200 images: 0.99": ("accuracy", lambda rng, shape: rng.binomial(200, 0.99, shape) / 200, 0.99),
    "accuracy, skewed: the best of 16": ("accuracy", lambda rng, shape: rng.beta(16, 1, shape), 16 / 17),
    "loss, skewed (lognormal, sigma 0.6)": (
        "loss",
        lambda rng, shape: 0.05 * np.exp(rng.normal(0, 0.6, shape)),
        0.05 * math.exp(0.18),
    ),
}


def of_share(what: str, hits: Array | list[bool], bar: str = "") -> Row:
    """Returns a row for the share of hits, with three standard errors on either side."""
    share, count = float(np.mean(hits)), max(1, len(hits))
    error = 3 * math.sqrt(share * (1 - share) / count)
    return row(what, [max(0.0, share - error), share, min(1.0, share + error)], "share", bar)


def within(ends: tuple[Array, Array], mean: float) -> Array:
    return (ends[0] - 1e-12 <= mean) & (mean <= ends[1] + 1e-12)


def student(values: Array) -> tuple[Array, Array]:
    """Returns Student's interval of the mean of values [sets, n]."""
    n = values.shape[1]
    half = special.stdtrit(n - 1, 0.975) * values.std(1, ddof=1) / math.sqrt(n)
    return values.mean(1) - half, values.mean(1) + half


def of_means(count: int) -> list[Row]:
    """Measures the intervals of means of every shape."""
    found = []
    for shape, (metric, draw, mean) in SHAPES.items():
        for seeds in SEEDS:
            values = draw(np.random.default_rng([seeds, len(shape)]), (count, seeds))
            bounds = metric_bounds({"metric": metric}, values.ravel())
            ends = interval(values, bounds=bounds)
            assert ends[0].min() >= bounds.low
            assert ends[1].max() <= bounds.high
            bar = "at least 0.93"
            found.append(of_share(f"mean, {shape}: covered, {seeds} seeds", within(ends, mean), bar))
            found.append(of_share(f"mean, {shape}: covered by Student's, {seeds} seeds", within(student(values), mean)))
    return found


def of_collapsed(count: int) -> list[Row]:
    """Measures the intervals where 10 percent of the runs collapse from 0.9 to 0.1: the true mean is 0.82."""
    found = []
    for seeds in SEEDS:
        rng = np.random.default_rng(seeds)
        collapsed = rng.random((count, seeds)) < 0.1
        values = np.where(collapsed, rng.normal(0.1, 0.01, collapsed.shape), rng.normal(0.9, 0.01, collapsed.shape))
        covered = within(interval(values, bounds=metric_bounds({"metric": "accuracy"}, values.ravel())), 0.82)
        seen = collapsed.any(axis=1)
        what = "mean, a tenth of the runs collapsed"
        found += [
            of_share(f"{what}: covered, {seeds} seeds", covered),
            of_share(f"{what}: one is among the runs, {seeds} seeds", seen),
            of_share(f"{what}: covered if one is among the runs, {seeds} seeds", covered[seen], "at least 0.93"),
        ]
        if seeds >= 5:
            named = [far_runs(runs.tolist(), 0.01) is not None for runs in values[seen][:2000]]
            found.append(of_share(f"{what}: named if among the runs, {seeds} seeds", named))
    return found


def of_chance(count: int) -> list[Row]:
    """Measures how often a run is named as far from the rest where none collapsed."""
    found = []
    for shape in ("accuracy, normal: 0.8, deviation 0.02", "accuracy, skewed: the best of 16"):
        for seeds in SEEDS[1:]:
            values = SHAPES[shape][1](np.random.default_rng(seeds), (count, seeds))
            named = [far_runs(runs, 0.01) is not None for runs in values.tolist()]
            found.append(of_share(f"{shape}: a run is named without a collapse, {seeds} seeds", named))
    return found


def of_middles(count: int) -> list[Row]:
    """Measures the intervals of interquartile means: fixed tasks, and from six tasks on new ones, of normal scores."""
    found = []
    for tasks in (1, 3, 6, 10):
        for seeds in SEEDS:
            rng = np.random.default_rng([tasks, seeds])
            places = np.linspace(-1, 1, tasks)[:, None] if 1 < tasks < 6 else np.zeros((tasks, 1))
            task_of = np.repeat(np.arange(tasks), seeds)
            counts, hits, plain = block_counts(task_of, seed=0), [], []
            for _ in range(count):
                drawn = places + rng.normal(0, 1, (tasks, 1)) if tasks >= 6 else places
                scores = drawn + 0.3 * rng.normal(size=(tasks, seeds))
                ends = interquartile_interval(scores.ravel(), task_of, counts)
                hits.append(ends is not None and ends[0] <= 0 <= ends[1])  # the truth is 0 by symmetry
                low, high = np.quantile(interquartile_mean(scores.ravel(), counts), [0.025, 0.975])
                plain.append(low <= 0 <= high)
            scope = "these tasks" if tasks < 6 else "tasks like these"
            what = f"interquartile mean, {tasks} task{'s' if tasks > 1 else ''} ({scope})"
            found.append(of_share(f"{what}: covered, {seeds} seeds", hits, "at least 0.9"))
            found.append(of_share(f"{what}: covered by the bootstrap's percentiles, {seeds} seeds", plain))
    return found


def of_improvement(count: int) -> list[Row]:
    """Measures the intervals of probabilities of improvement of one task, normal scores."""
    found = []
    for true in (0.5, 0.76, 0.92):
        for seeds in SEEDS:
            rng = np.random.default_rng([seeds, int(100 * true)])
            shift = math.sqrt(2) * float(stats.norm.ppf(true))
            pairs = rng.normal(0, 1, (count, 2, seeds)) + np.array([shift, 0.0])[:, None]
            ends = share_interval([probability(a, b) for a, b in pairs], seeds)
            found.append(
                of_share(
                    f"probability of improvement, {true}: covered, {seeds} seeds", within(ends, true), "at least 0.93"
                )
            )
    return found


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table: one line for each measure, one column for each number of seeds."""
    lines: dict[str, dict[str, str]] = {}
    for found in rows:
        what, _, seeds = found["what"].rpartition(", ")
        lines.setdefault(what, {})[seeds] = f"{found['median']:.3f}"
    columns = [f"{seeds} seeds" for seeds in SEEDS]
    return markdown(
        ("share of simulated sets", *columns),
        [[what, *(line.get(c, "") for c in columns)] for what, line in lines.items()],
    )


def main(quick: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    many, few = (1000, 100) if quick else (20_000, 1000)
    return [*of_means(many), *of_collapsed(many), *of_chance(many), *of_middles(few), *of_improvement(few)]


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    measured = main(given.quick)
    tell(measured, given.json)
    if given.write:
        write(PAGE, "table of bench_intervals", table(measured))
