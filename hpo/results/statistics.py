"""Statistics on arrays: intervals, paired tests with corrections, ranks, pairs needed. Pure; knows nothing of studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from hpo.results.bounds import UNBOUNDED, Bounds
from hpo.results.sign_flips import DIGITS

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
SPREAD = 0.1  # chance on either side of the interval of a standard deviation
EXACT = 200  # most pairs for which the signed-rank distribution is computed instead of approximated


def interval(values: ArrayLike, level: float = 1 - ALPHA, bounds: Bounds = UNBOUNDED) -> tuple[Vector, Vector]:
    """Returns the interval of the mean along the last axis: values [..., n] -> (low [...], high [...]); NaN for n < 2.

    Each end is the widest of three: Student's; Student's after Hall's cubic transformation, which corrects for skewness
    (Hall 1992, "On the removal of skewness by transformation"); and Student's on the scale of `bounds` (see
    `Bounds.around`), beyond which no end lies. Best-of-many results are skewed: there Student's interval alone covers
    only 89 to 91 percent at n = 3 to 10. Without skewness and far from the bounds the three agree.
    """
    x = np.asarray(values, dtype=float)
    n = x.shape[-1]
    if n < 2:
        return np.full(x.shape[:-1], np.nan), np.full(x.shape[:-1], np.nan)
    constant = np.ptp(x, axis=-1) == 0  # then the mean must not pick up rounding
    mean = np.where(constant, x[..., 0], x.mean(-1))
    deviation = np.where(constant, 0.0, x.std(-1, ddof=1))
    t = float(special.stdtrit(n - 1, 0.5 + level / 2))
    third = ((x - mean[..., None]) ** 3).mean(-1)
    cubed = deviation**3  # 0 for tiny deviations too: the interval is then Student's
    skewness = third / np.where(cubed > 0, cubed, 1.0)
    error = deviation / math.sqrt(n)
    low = mean - np.maximum(t, _unskewed(t, skewness, n)) * error
    high = mean - np.minimum(-t, _unskewed(-t, skewness, n)) * error
    inner, outer = bounds.around(mean, t * error)
    low = np.where(constant, mean, np.minimum(low, inner))
    return bounds.clip(low), bounds.clip(np.where(constant, mean, np.maximum(high, outer)))


def _unskewed(t: float, skewness: Vector, n: int) -> Vector:
    """Returns the quantile of a skewed mean that corresponds to Student's quantile `t` (Hall's inverse transformation)."""
    a = skewness / math.sqrt(n)
    safe = np.where(np.abs(a) > 1e-9, a, 1.0)
    return np.where(np.abs(a) > 1e-9, 3 / safe * (np.cbrt(1 + safe * (t - safe / 6)) - 1), t)


def signed_rank(differences: ArrayLike) -> tuple[float, int]:
    """Runs Wilcoxon's two-sided signed-rank test on paired differences [n]: (p, direction -1, 0 or 1).

    Up to n = 200 the test is exact given the sizes of the differences: ties share their ranks, zeros are ranked but
    take no side (Pratt 1959). Infinite differences are the largest. p is 1 if nothing differs.
    """
    d = np.round(np.asarray(differences, dtype=float), DIGITS)
    doubled = np.rint(2 * ranks(np.abs(d))).astype(np.int64)  # ties give halves
    kept = doubled[d != 0]
    if not kept.size:
        return 1.0, 0
    above = int(doubled[d > 0].sum())
    excess = 2 * above - int(kept.sum())
    if len(kept) > EXACT:
        return float(2 * special.ndtr(-abs(excess) / math.sqrt(float((kept**2).sum())))), int(np.sign(excess))
    chances = _rank_sums(tuple(sorted(kept.tolist())))
    tail = chances[above:].sum() if excess > 0 else chances[: above + 1].sum()
    return float(min(1.0, 2 * tail)), int(np.sign(excess))


@lru_cache(maxsize=64)
def _rank_sums(ranks: tuple[int, ...]) -> Vector:
    """Returns the chance of each sum [0 .. sum(ranks)] if a fair coin picks the ranks. Cached: never write to it."""
    chances = np.zeros(sum(ranks) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] += chances[:-rank].copy()
        chances /= 2
    return chances


def holm(p: ArrayLike) -> Vector:
    """Returns Holm's step-down adjustment of p values [m]."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def fewest_pairs(alpha: float = ALPHA) -> int:
    """Returns the fewest pairs with which an exact test by signs or signed ranks can reach `alpha`: 2 / 2^n."""
    return math.ceil(1 + math.log2(1 / alpha))


@lru_cache(maxsize=64)
def pair_alpha(methods: int, alpha: float = ALPHA) -> float:
    """Returns the level of one pair at which all pairs of so many methods together have the level `alpha`.

    By the studentized range (Tukey): what max-T costs over all pairs of methods whose results spread alike.
    """
    return float(2 * special.ndtr(-nemenyi_quantile(methods, alpha))) if methods > 2 else alpha


def pairs_needed(deviation: float, difference: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Returns the pairs with which a test of the mean detects a true mean difference with the given power.

    `deviation`: standard deviation of the paired differences. Guenther's (1981) formula for the t test, whose power
    flipped signs have asymptotically.
    """
    a, b = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
    return max(fewest_pairs(), math.ceil(((a + b) * deviation / difference) ** 2 + a**2 / 2))


def more_pairs(
    differences: Vector, seen: int, difference: float, alpha: float
) -> tuple[int | None, tuple[int, int] | None]:
    """Returns the pairs needed beyond the `seen` ones to detect `difference`, and their range.

    The spread of `differences` [n] tells the number, the ends of the spread's 80 percent interval (chi-square) the range.
    0 if there are enough, None if fewer than two differences leave the spread unknown.
    """
    n = len(differences) - 1
    if n < 1:
        return None, None
    deviation = float(np.std(differences, ddof=1))
    ends = (math.sqrt(n / float(special.chdtri(n, tail))) for tail in (SPREAD, 1 - SPREAD))
    more, low, high = (max(0, pairs_needed(deviation * factor, difference, alpha) - seen) for factor in (1.0, *ends))
    return more, (low, high)


def chances(differences: ArrayLike, margin: float) -> tuple[float, float, float] | None:
    """Returns the chances that the mean of the population lies below -margin, within the margin, and above it.

    Student's posterior of the mean of normal differences [n] under the reference prior: t with n - 1 degrees of freedom
    around their mean, scaled by the standard error: the Bayesian t test of Benavoli et al. (2017) with correlation 0, as
    blocks are independent. The margin is their region of practical equivalence. None for n < 2.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return None
    mean, error = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d))
    if np.ptp(d) == 0 or error == 0:  # all chance is at one point; squares of differences below 1e-162 are 0
        point = float(np.median(d))
        return float(point < -margin), float(abs(point) <= margin), float(point > margin)
    below = float(special.stdtr(len(d) - 1, (-margin - mean) / error))
    above = float(special.stdtr(len(d) - 1, (mean - margin) / error))
    return below, max(0.0, 1 - below - above), above


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over blocks, and Nemenyi's test of the mean ranks (Demsar 2006).

    `critical_difference`: mean ranks farther apart differ. `pairwise` [methods, methods]: Nemenyi's p values.
    """

    blocks: int
    statistic: float
    p: float
    mean_ranks: Vector
    critical_difference: float
    pairwise: Vector


def ranks(values: ArrayLike, axis: int = -1) -> Vector:
    """Returns the rank of each value along the axis, 1 for the smallest; ties share the mean of theirs, as in SciPy.

    All ranks along an axis that holds a NaN are NaN.
    """
    x = np.asarray(values, dtype=float)

    def ranked(row: Vector) -> Vector:
        ordered = np.sort(row)
        return np.asarray((np.searchsorted(ordered, row, "left") + np.searchsorted(ordered, row, "right") + 1) / 2)

    return np.where(np.isnan(x).any(axis, keepdims=True), np.nan, np.apply_along_axis(ranked, axis, x))


def mean_ranks(values: ArrayLike) -> Vector:
    """Returns the mean rank of each column of values [blocks, methods]; 1 is the largest value, ties share ranks."""
    return np.asarray(ranks(-np.asarray(values, dtype=float), axis=1).mean(axis=0))


def friedman(values: ArrayLike, alpha: float = ALPHA) -> Friedman:
    """Runs Friedman's test, corrected for ties, and Nemenyi's over values [blocks, methods], at least 2 each.

    Larger values are better. Nemenyi's p values and critical difference come from the studentized range distribution
    with infinite degrees of freedom, divided by the square root of 2.
    """
    from scipy.stats import studentized_range

    x = np.asarray(values, dtype=float)
    blocks, methods = x.shape
    ranked = ranks(-x, axis=1)
    means = ranked.mean(axis=0)
    spread = float(((ranked - (methods + 1) / 2) ** 2).sum()) / (blocks * (methods - 1))
    statistic = blocks * float(((means - (methods + 1) / 2) ** 2).sum()) / spread if spread > 0 else 0.0
    p = float(special.chdtrc(methods - 1, statistic))
    unit = math.sqrt(methods * (methods + 1) / (6 * blocks))  # standard error of a difference of mean ranks
    gaps = np.abs(means[:, None] - means[None, :])
    pairwise = studentized_range.sf(gaps / unit * math.sqrt(2), methods, np.inf)
    difference = nemenyi_quantile(methods, alpha) * unit
    return Friedman(blocks, statistic, p, means, difference, np.minimum(1.0, pairwise))


def nemenyi_quantile(methods: int, alpha: float = ALPHA) -> float:
    """Returns q_alpha for `methods` methods: the critical difference in standard errors (Demsar 2006, Table 5)."""
    from scipy.stats import studentized_range  # a quarter of a second, which a comparison without it need not wait

    return float(studentized_range.isf(alpha, methods, np.inf)) / math.sqrt(2)


def cliques(related: ArrayLike) -> tuple[tuple[int, ...], ...]:
    """Returns the maximal sets of at least two that are all related to each other; related [m, m] is symmetric.

    Each is in ascending order, and they are sorted (Bron and Kerbosch 1973).
    """
    table = np.asarray(related, dtype=bool)
    near = [{int(j) for j in np.flatnonzero(row) if j != i} for i, row in enumerate(table)]
    found: list[tuple[int, ...]] = []

    def grow(members: set[int], open_: set[int], closed: set[int]) -> None:
        if not open_ and not closed and len(members) > 1:
            found.append(tuple(sorted(members)))
        pivot = max(open_ | closed, key=lambda i: len(near[i] & open_), default=None)
        for i in sorted(open_ - (near[pivot] if pivot is not None else set())):
            grow(members | {i}, open_ & near[i], closed & near[i])
            open_, closed = open_ - {i}, closed | {i}

    grow(set(), set(range(len(table))), set())
    return tuple(sorted(found))


def mean_interval(
    values: Sequence[float], bounds: Bounds = UNBOUNDED
) -> tuple[float | None, tuple[float, float] | None]:
    """Returns the mean of the finite values and its 95 percent interval; None for no values, or for fewer than two."""
    finite = np.array([v for v in values if math.isfinite(v)])
    if not finite.size:
        return None, None
    if finite.size < 2:
        return float(finite.mean()), None
    low, high = interval(finite, bounds=bounds)
    mean = finite[0] if low == high else finite.mean()
    return float(mean), (float(low), float(high))


def share_interval(share: ArrayLike, n: float, level: float = 1 - ALPHA) -> tuple[Vector, Vector]:
    """Returns Wilson's score interval of shares [...] of `n` independent blocks: (low [...], high [...]), within [0, 1].

    It holds for any mean of n independent values in [0, 1], since none has a larger variance than a share's, p (1 - p) / n.
    """
    p = np.asarray(share, dtype=float)
    z = float(special.ndtri(0.5 + level / 2))
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
