"""Aggregates over tasks and seeds (Agarwal et al. 2021): interquartile means, probabilities of improvement, profiles. Pure.

A block is a task with a seed that every method completed. Scores are oriented (larger is better): the metric itself for
one task, normalized by task for several. From six tasks on, intervals hold for tasks like these; with fewer, for these.

Source: Agarwal, Schwarzer, Castro, Courville and Bellemare 2021, "Deep reinforcement learning at the edge of the
statistical precipice", sections 4.1 to 4.3. With three seeds the percentiles of their bootstrap cover only 76 to 80
percent on one to three tasks (tests/bench/bench_intervals.py); here Student's quantile times the bootstrap's standard
deviation takes their place, and Wilson's interval for shares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hpo.results.bounds import UNBOUNDED, Bounds
from hpo.results.statistics import ALPHA, Matrix, Vector, share_interval

if TYPE_CHECKING:
    from hpo.results.values import RunSummary

Whole = NDArray[np.int64]
Interval = tuple[float, float] | None

DRAWS = 2_000  # of the bootstrap
CORNERS = 201  # most thresholds of a profile
BASELINE = "random"
TRIM = 0.25  # of the runs that an interquartile mean leaves out at either end
MANY_TASKS = 6  # fewest tasks that can stand for others


@dataclass(frozen=True)
class Scale:
    """How a task's values become scores: `zero` becomes 0, `one` becomes 1, and the rest follows linearly.

    Both are in the metric's unit. `zero`: the median run of random search; without random search, of the method with the
    worst median. `one`: the best run of any method.
    """

    zero: float
    one: float


@dataclass(frozen=True)
class Aggregate:
    """A method's interquartile mean over `runs` runs: the mean of the middle half of their scores."""

    method: str
    runs: int
    iqm: float | None
    ci95: Interval


@dataclass(frozen=True)
class Improvement:
    """The probability that a run of `a` is better than a run of `b` on a task drawn at random; ties count half."""

    a: str
    b: str
    probability: float
    ci95: Interval


@dataclass(frozen=True)
class Profile:
    """The share of a method's runs that are better than each threshold, a mean over tasks, with its 95 percent band.

    All [thresholds]. The band holds at each threshold by itself, not at all of them together.
    """

    method: str
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Aggregates:
    """Interquartile means, probabilities of improvement and performance profiles of the methods over the same blocks.

    `scales`: by task; empty if scores are values of the metric (one task). `left_out`: tasks without a common block, or
    on which no run is better than the scale's zero. `resampled`: "seeds" (the intervals hold for these tasks) or "tasks"
    (for tasks like these). `thresholds`: of the profiles, in the scores' unit, from bad to good.
    """

    tasks: tuple[str, ...]
    left_out: tuple[str, ...]
    blocks: int
    scales: Mapping[str, Scale]
    resampled: str
    methods: tuple[Aggregate, ...]
    improvements: tuple[Improvement, ...]
    thresholds: tuple[float, ...]
    profiles: tuple[Profile, ...]


def aggregates(
    values: Mapping[str, Matrix], labels: Sequence[str], mode: str, bounds: Bounds = UNBOUNDED, *, seed: int = 0
) -> Aggregates | None:
    """Aggregates results of `labels` over tasks; None for fewer than two blocks or no method.

    `values`: by task, oriented values [seeds, methods] of the blocks that every method completed, -inf for a run without a
    value. `bounds`: of the metric. `seed`: of the bootstrap.
    """
    scales = {task: _scale(found, labels) for task, found in values.items()} if len(values) > 1 else {}
    tasks = tuple(task for task, found in values.items() if len(found) and (not scales or scales[task]))
    sign = 1.0 if mode == "max" else -1.0
    if not labels or sum(len(values[task]) for task in tasks) < 2:
        return None
    used = {task: scale for task in tasks if (scale := scales.get(task))}
    scores = [_scored(values[task], used.get(task)) for task in tasks]
    task_of = np.repeat(np.arange(len(tasks)), [len(block) for block in scores])
    pooled = np.concatenate(scores)
    unit = 1.0 if used else sign  # scores of a single task are shown as values of the metric
    counts = block_counts(task_of, seed)
    thresholds = _thresholds(pooled)
    return Aggregates(
        tasks=tasks,
        left_out=tuple(task for task in values if task not in tasks),
        blocks=len(pooled),
        scales={task: Scale(sign * scale.zero, sign * scale.one) for task, scale in used.items()},
        resampled="tasks" if len(tasks) >= MANY_TASKS else "seeds",
        methods=tuple(
            _aggregate(label, unit * pooled[:, i], task_of, counts, UNBOUNDED if used else bounds)
            for i, label in enumerate(labels)
        ),
        improvements=tuple(
            _improvement(labels, scores, i, j) for i in range(len(labels)) for j in range(i + 1, len(labels))
        ),
        thresholds=tuple((unit * thresholds).tolist()),
        profiles=tuple(_profile(label, [s[:, i] for s in scores], thresholds) for i, label in enumerate(labels)),
    )


def common_blocks(runs: Sequence[RunSummary], mode: str) -> tuple[list[str], dict[str, Matrix]]:
    """Returns the methods with a complete run, and by task the oriented values [seeds, methods] that all of them have."""
    labels = list(dict.fromkeys(run.method for run in runs if run.complete))
    if not labels:
        return [], {}
    sign = 1.0 if mode == "max" else -1.0
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run in runs:
        block = found.setdefault(run.study, {}).setdefault(run.seed, {})
        if run.complete:
            block[run.method] = sign * run.value if math.isfinite(run.value) else -math.inf
    return labels, {
        task: np.array([[block[label] for label in labels] for block in seeds.values() if len(block) == len(labels)])
        .reshape(-1, len(labels))
        for task, seeds in found.items()
    }  # fmt: skip


# -- scores -------------------------------------------------------------------------------------------------------


def _scale(values: Matrix, labels: Sequence[str]) -> Scale | None:
    """Returns a task's scale for oriented values [seeds, methods]; None if no run is better than its zero."""
    if not len(values):
        return None
    medians = np.quantile(values, 0.5, axis=0, method="lower")  # a run's value, also among runs without one
    zero = float(medians[list(labels).index(BASELINE)] if BASELINE in labels else medians.min())
    one = float(values.max())
    return Scale(zero, one) if math.isfinite(zero) and zero < one else None


def _scored(values: Matrix, scale: Scale | None) -> Matrix:
    return values if scale is None else np.asarray((values - scale.zero) / (scale.one - scale.zero))


# -- interquartile means ------------------------------------------------------------------------------------------


def block_counts(task: Whole, seed: int) -> Matrix:
    """Returns how often each draw of the bootstrap holds each block, for blocks of `task` [blocks]: [draws, blocks].

    Blocks are drawn with replacement within each task; from six tasks on, tasks are drawn as well.
    """
    rng = np.random.default_rng(seed)
    tasks, sizes = np.unique(task, return_counts=True)
    counts = np.empty((DRAWS, len(task)))
    for number, size in zip(tasks, sizes, strict=True):
        counts[:, task == number] = rng.multinomial(size, np.full(size, 1 / size), DRAWS)
    if len(tasks) >= MANY_TASKS:
        counts *= rng.multinomial(len(tasks), np.full(len(tasks), 1 / len(tasks)), DRAWS)[:, task]
    return counts


def interquartile_mean(scores: Vector, counts: Matrix) -> Vector:
    """Returns the mean of the middle half of scores [blocks], each repeated as counts [draws, blocks] say: [draws].

    A quarter of the runs, rounded down, is left out at either end.
    """
    order = np.argsort(scores, kind="stable")
    sorted_scores, repeats = scores[order], counts[:, order]
    ends = repeats.cumsum(axis=1)
    total = ends[:, -1:]
    cut = np.floor(TRIM * total)
    kept = np.maximum(np.minimum(ends, total - cut) - np.maximum(ends - repeats, cut), 0.0)
    known = np.isfinite(sorted_scores)
    means = kept[:, known] @ sorted_scores[known] / kept.sum(axis=1)
    return np.where(kept[:, ~known].any(axis=1), -np.inf, means)


def interquartile_interval(scores: Vector, task: Whole, counts: Matrix, bounds: Bounds = UNBOUNDED) -> Interval:
    """Returns the 95 percent interval of the interquartile mean of scores [blocks] within `bounds`; None if unknown.

    Student's quantile times the standard deviation over the bootstrap's `counts` [draws, blocks], which is corrected for
    drawing from so few: by sqrt(n / (n - 1)) for n runs of each task, or for n tasks. `task`: of each block [blocks].
    """
    tasks = int(task[-1]) + 1
    units, strata = (tasks, 1) if tasks >= MANY_TASKS else (len(scores), tasks)
    drawn = interquartile_mean(scores, counts)
    middle = float(interquartile_mean(scores, np.ones((1, len(scores))))[0])
    if units == strata or not (math.isfinite(middle) and np.isfinite(drawn).all()):
        return None
    deviation = 0.0 if np.ptp(scores) == 0 else float(drawn.std(ddof=1)) * math.sqrt(units / (units - strata))
    return _around(middle, float(special.stdtrit(units - strata, 1 - ALPHA / 2)) * deviation, bounds)


def _aggregate(label: str, scores: Vector, task: Whole, counts: Matrix, bounds: Bounds) -> Aggregate:
    middle = float(interquartile_mean(scores, np.ones((1, len(scores))))[0])
    known = middle if math.isfinite(middle) else None
    return Aggregate(label, len(scores), known, interquartile_interval(scores, task, counts, bounds))


def _around(value: float, margin: float, bounds: Bounds) -> tuple[float, float]:
    """Returns the interval value -/+ margin, each end the wider of the plain one and that on the scale of `bounds`."""
    if margin == 0:
        return value, value
    inner, outer = bounds.around(np.array(value), np.array(margin))
    ends = bounds.clip(np.array([min(value - margin, float(inner)), max(value + margin, float(outer))]))
    return float(ends[0]), float(ends[1])


# -- improvement and profiles -------------------------------------------------------------------------------------


def probability(a: Vector, b: Vector) -> float:
    """Returns the share of pairs of a [m] and b [n] in which a is larger; ties count half (Mann and Whitney's U / mn)."""
    return float(((a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])).mean())


def _improvement(labels: Sequence[str], scores: Sequence[Matrix], i: int, j: int) -> Improvement:
    share = float(np.mean([probability(block[:, i], block[:, j]) for block in scores]))
    low, high = share_interval(share, _independent(scores))
    return Improvement(labels[i], labels[j], share, (float(low), float(high)))


def _independent(blocks: Sequence[Vector] | Sequence[Matrix]) -> float:
    """Returns how many independent values a mean over tasks of means over runs holds: the tasks, or about all runs.

    A mean over pairs of m runs with m others varies at most like a share of m runs (Birnbaum and Klose 1957).
    """
    if len(blocks) >= MANY_TASKS:
        return float(len(blocks))
    return float(len(blocks) ** 2 / sum(1 / len(block) for block in blocks))


def _thresholds(scores: Matrix) -> Vector:
    """Returns the scores at which profiles fall, from bad to good; evenly chosen ones if there are too many."""
    known = np.unique(scores[np.isfinite(scores)])
    if len(known) <= CORNERS:
        return np.asarray(known)
    return np.asarray(known[np.unique(np.linspace(0, len(known) - 1, CORNERS).round().astype(int))])


def _profile(label: str, scores: Sequence[Vector], thresholds: Vector) -> Profile:
    above = [1 - np.searchsorted(np.sort(block), thresholds, side="right") / len(block) for block in scores]
    share = np.mean(above, axis=0)
    low, high = share_interval(share, _independent(scores))
    return Profile(label, tuple(share.tolist()), tuple(low.tolist()), tuple(high.tolist()))
