"""Paired tests by flipped signs, adjusted for all tests together: is a mean zero, or smaller than a margin? Pure.

If two methods do not differ, each of their paired differences could as well have had the other sign.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

EXACT = 13  # most rows of which every flip of signs is tried
DRAWN = 10_000  # flips drawn at random for more rows
DIGITS = 12  # decimals kept of a difference: what lies beyond is rounding
ROUNDING = 1e-9  # statistics that are closer tie


def sign_flips(differences: ArrayLike, *, seed: int = 0) -> tuple[Vector, Vector]:
    """Tests m means against zero, two-sided, over common rows [n, m]: (p [m], p adjusted for all m [m]).

    The statistic is |t|. Flipping the signs of whole rows gives its distribution and that of the largest of several:
    all 2^n flips up to n = 13, otherwise 10,000 at random, of which the first flips nothing. Adjusted p values are
    those of the step-down max-T procedure (Westfall and Young 1993, algorithm 4.1; Romano and Wolf 2005): the largest
    |t| competes with all columns, the second largest with all but the first, and so on. The chance of any false claim
    stays below alpha however many columns do differ from zero, if the rows of those that do not are symmetric about
    zero together. Correlated columns cost less than with Holm's correction. A zero stands for a row that a column
    lacks. No p is below `smallest_p(n)`.
    """
    unit = _unit(differences)
    observed = np.abs(unit.sum(axis=0)) - ROUNDING
    flipped = _signs(len(unit), seed) @ unit
    np.abs(flipped, out=flipped)
    p = (flipped >= observed).mean(axis=0)
    return p, _step_down(observed, flipped, p)


def margin_flips(differences: ArrayLike, margin: float, *, seed: int = 0) -> Vector:
    """Tests whether m means lie within (-margin, margin), over common rows [n, m], NaN where lacking: adjusted p [m].

    Two one-sided tests for each column: margin + d and margin - d must both be above zero on average, so that a column's
    p is the larger of two (Schuirmann 1987). They are adjusted for all columns together as in `sign_flips`: the smaller
    of a column's two t competes with both of every column in its step, and alone with its own distribution.
    """
    d = np.asarray(differences, dtype=float)
    sides = [_unit(np.nan_to_num(margin + d)), _unit(np.nan_to_num(margin - d))]
    observed = [side.sum(axis=0) - ROUNDING for side in sides]
    flipped = [_signs(len(d), seed) @ side for side in sides]
    p = [(values >= least).mean(axis=0) for values, least in zip(flipped, observed, strict=True)]
    return _step_down(np.minimum(*observed), np.maximum(*flipped), np.maximum(*p))


def smallest_p(n: int) -> float:
    """Returns the smallest p that `sign_flips` can give for n rows: 2 of 2^n flips are as extreme as one without change."""
    least = min(1.0, 2.0 ** (1 - n))
    return least if n <= EXACT else max(least, 1 / DRAWN)


def _unit(differences: ArrayLike) -> Matrix:
    """Returns columns of length 1, or 0: |t| grows with the sum of such a column, and flips leave its length."""
    d = np.round(np.asarray(differences, dtype=float), DIGITS)
    length = np.sqrt((d**2).sum(axis=0))
    return np.asarray(d / np.where(length > 0, length, 1.0))


def _step_down(observed: Vector, flipped: Matrix, p: Vector) -> Vector:
    """Returns adjusted p [m] of statistics [m] by their values after the flips [flips, m]; `p` [m]: without adjustment.

    This is closed testing in m steps: the p of a set of columns is that of its largest statistic.
    """
    order = np.argsort(observed, kind="stable")  # the smallest first: each competes with itself and the smaller ones
    largest = np.maximum.accumulate(flipped[:, order], axis=1)
    steps = (largest >= observed[order]).mean(axis=0)
    steps[0] = p[order[0]]
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps[::-1])[::-1]
    return adjusted


@lru_cache(maxsize=4)
def _signs(n: int, seed: int) -> Matrix:
    """Returns rows of n signs: all of them, or 10,000 at random, the first of which flips nothing. Never write to it."""
    if n <= EXACT:
        return np.asarray(1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1), dtype=np.float64)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (DRAWN, n))
    signs[0] = 1.0
    return signs
