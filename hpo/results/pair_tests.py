"""Tests between methods: every pair over the blocks that both completed, and mean ranks over whole blocks. Pure.

A block is what pairs are made of: a seed of one task, or a task of several. Seeds of several tasks are no blocks: they
repeat a task's own effect, so that a claim about other tasks would be false far too often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.results import statistics
from hpo.results.margin import POINT, Margin
from hpo.results.sign_flips import DIGITS, margin_flips, sign_flips
from hpo.results.statistics import ALPHA, Vector, holm, mean_interval, signed_rank
from hpo.results.values import UNDECIDED, PairTest, Ranking, RunSummary
from hpo.results.verdict import EQUIVALENT
from hpo.study.space import pairs

FRIEDMAN_BLOCKS = 5  # fewest blocks for Friedman's test
TASK_BLOCKS = 6  # fewest tasks that can decide as blocks; with fewer, each task decides for itself


def block_kind(runs: Sequence[RunSummary]) -> str:
    """Returns what pairs are made of: the seeds of one task, or several tasks."""
    return "seed" if len({run.study for run in runs}) <= 1 else "task"


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


@dataclass(frozen=True)
class _Found:
    """What the tests find of a pair: p and adjusted p by flipped signs and by signed ranks, and of equivalence.

    `side`: 1 if a is better by its mean and its ranks, -1 if b is, 0 if they disagree: then the data do not show which
    method is better, whatever the p values are.
    """

    p: float
    p_adjusted: float
    p_ranks: float
    p_ranks_adjusted: float
    side: int
    p_equivalent: float | None

    def verdict(self, named: bool) -> str:
        """A difference may be real and yet too small to matter, but only if somebody named what matters."""
        better = self.side != 0 and self.p_adjusted < ALPHA
        if self.p_equivalent is not None and self.p_equivalent < ALPHA and (named or not better):
            return EQUIVALENT
        return UNDECIDED if not better else "a better" if self.side > 0 else "b better"


def pair_tests(labels: Sequence[str], values: Vector, mode: str, margin: Margin = Margin(POINT)) -> list[PairTest]:
    """Tests every pair of methods over oriented values [blocks, methods], adjusted for all pairs together.

    Flipped signs of the mean decide; signed ranks stand beside them.
    """
    return pair_tests_of_each(labels, [values], mode, margin)[0]


def pair_tests_of_each(
    labels: Sequence[str], tables: Sequence[Vector], mode: str, margin: Margin
) -> list[list[PairTest]]:
    """Tests every pair of methods in each of several tables [blocks, methods], adjusted for all pairs of all tables."""
    names = pairs(list(labels))
    if not names:
        return [[] for _ in tables]
    sizes = [margin.of(values) for values in tables]
    differences = [d[~np.isnan(d)] for values in tables for d in _differences(labels, values).T]
    found = _tested(
        [_differences(labels, _filled(values)) for values in tables], differences, _equivalent(labels, tables, sizes)
    )
    alpha = statistics.pair_alpha(len(labels), ALPHA / len(tables))
    tests = []
    for i, (d, one) in enumerate(zip(differences, found, strict=True)):
        table, pair = divmod(i, len(names))
        tests.append(_pair_test(names[pair], d, one, _Scale(mode, sizes[table], margin.named, alpha)))
    return [tests[i : i + len(names)] for i in range(0, len(tests), len(names))]


def _tested(
    filled: Sequence[Vector], differences: Sequence[Vector], equivalent: Sequence[float | None]
) -> list[_Found]:
    """Tests filled differences, tables [blocks, pairs], by flipped signs, and each pair's own by signed ranks."""
    stacked = _stacked(filled, 0.0)
    p, adjusted = sign_flips(np.nan_to_num(stacked))
    sides = np.sign(np.round(np.nansum(stacked, axis=0), DIGITS))
    ranks = [signed_rank(d) for d in differences]
    held = holm([chance for chance, _ in ranks])
    return [
        _Found(float(p[i]), float(adjusted[i]), chance, float(held[i]), side if side == sides[i] else 0, equivalent[i])
        for i, (chance, side) in enumerate(ranks)
    ]


def _equivalent(labels: Sequence[str], tables: Sequence[Vector], sizes: Sequence[float | None]) -> list[float | None]:
    """Returns the adjusted p of each pair of each table for a difference within its margin; None if one is unknown."""
    scaled = []
    for values, size in zip(tables, sizes, strict=True):
        if size is None:
            return [None] * (len(tables) * len(pairs(list(labels))))
        known = _differences(labels, np.where(np.isinf(values), math.nan, values))
        failing = np.isinf(_differences(labels, values)).any(axis=0)  # not equivalent to what gives a value there
        scaled.append(np.where(failing, math.nan, known) / size)
    return [float(p) for p in margin_flips(_stacked(scaled, math.nan), 1.0)]


def _stacked(tables: Sequence[Vector], empty: float) -> Vector:
    """Returns tables [blocks, pairs] along a diagonal: each has its own blocks, whose signs are flipped apart."""
    if len(tables) == 1:
        return tables[0]
    whole = np.full(np.sum([table.shape for table in tables], axis=0), empty)
    row = column = 0
    for table in tables:
        rows, columns = table.shape
        whole[row : row + rows, column : column + columns] = table
        row, column = row + rows, column + columns
    return whole


def _filled(values: Vector) -> Vector:
    """Returns values [blocks, methods] in which no value (-inf) is as far below the worst one as the best is above it."""
    known = values[np.isfinite(values)]
    if not known.size:
        return np.where(np.isinf(values), 0.0, values)
    return np.where(np.isinf(values), known.min() - (np.ptp(known) or 1.0), values)


def _differences(labels: Sequence[str], values: Vector) -> Vector:
    """Returns a - b [blocks, pairs], in the order of `pairs`; NaN if one lacks the block, 0 if both lack a value."""
    columns = dict(zip(labels, values.T, strict=True))
    return np.column_stack([_difference(columns[a], columns[b]) for a, b in pairs(list(labels))])


def _difference(a: Vector, b: Vector) -> Vector:
    same = a == b
    return np.where(same, 0.0, np.where(same, 0.0, a) - np.where(same, 0.0, b))


@dataclass(frozen=True)
class _Scale:
    """By what a pair's differences are measured: the mode, the margin, whether it was named, the level of one pair."""

    mode: str
    margin: float | None
    named: bool
    alpha: float


def _pair_test(pair: tuple[str, str], d: Vector, found: _Found, scale: _Scale) -> PairTest:
    """Returns the test of a pair whose oriented differences are `d`: positive where a is better."""
    finite = d[np.isfinite(d)]
    mean, ci95 = mean_interval(list(finite if scale.mode == "max" else -finite))
    more: tuple[int | None, tuple[int, int] | None] = (None, None)
    odds = None
    if scale.margin is not None:
        more = statistics.more_pairs(finite, len(d), scale.margin, scale.alpha)
        odds = statistics.chances(finite, scale.margin) if len(finite) == len(d) else None
    return PairTest(
        *pair,
        pairs=len(d),
        difference=mean,
        ci95=ci95,
        p=found.p,
        p_adjusted=found.p_adjusted,
        verdict=found.verdict(scale.named),
        more_blocks=more[0],
        p_signed_rank=found.p_ranks,
        p_signed_rank_adjusted=found.p_ranks_adjusted,
        more_blocks_range=more[1],
        p_equivalent=found.p_equivalent,
        chances=None if odds is None else dict(zip(("b better", EQUIVALENT, "a better"), odds, strict=True)),
    )


def ranking(labels: Sequence[str], values: Vector, tests: Sequence[PairTest]) -> Ranking | None:
    """Runs Friedman's and Nemenyi's tests over whole blocks [blocks, methods]; `tests` say which methods differ.

    Returns None for fewer than five blocks or three methods.
    """
    if len(values) < FRIEDMAN_BLOCKS or len(labels) < 3:
        return None
    test = statistics.friedman(values)
    order = [labels[i] for i in np.argsort(test.mean_ranks, kind="stable")]
    apart = {frozenset((t.a, t.b)) for t in tests if t.better}
    together = [[frozenset((a, b)) not in apart for b in order] for a in order]
    return Ranking(
        blocks=test.blocks,
        statistic=test.statistic,
        p=test.p,
        mean_ranks=dict(zip(labels, map(float, test.mean_ranks), strict=True)),
        critical_difference=test.critical_difference,
        groups=tuple(tuple(order[i] for i in group) for group in statistics.cliques(together)),
        pairwise={
            (labels[i], labels[j]): float(test.pairwise[i, j])
            for i in range(len(labels))
            for j in range(i + 1, len(labels))
        },
    )
