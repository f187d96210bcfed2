"""Shares of the variance with intervals that cover: a surrogate's shares, corrected by trials it has not seen. Arrays only.

A surrogate f' smooths what it learns, so its own shares are biased: those of strong hyperparameters come out too large,
those of interactions and wiggles too small, and no resampling of f' shows by how much. Residuals of unseen trials do. For a
component c of the functional decomposition (one hyperparameter, or a pair beyond its two), with r = y - f'(x),

    V_c(f) = V_c(f') + 2 E[f'_c(x) r] + E[r_c(x)^2].

We take the first term from the trees, the second as a mean over unseen trials, and the third as a sum over pairs of unseen
trials, r_i k_c(x_i, x_j) r_j, where k_c projects on few cosines of c. The first two are the efficient one-step estimate of
a sensitivity index (Da Veiga and Gamboa 2013) with cross-fitting (Chernozhukov et al. 2018); the third is its second-order
term (Robins et al. 2008). Trials count by `even_weights`, so that methods that search where the metric is good do not
distort the means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hpo.results.density import even_weights
from hpo.results.forest import Cells, Decomposition, Flags, Forest, Matrix, Vector, decompose, on_middles

Axes: TypeAlias = tuple[int, ...]  # a component: (a,) or (a, b), a < b

FOLDS = 5
TREES = 24
NORMAL = 1.96  # standard errors on either side of a 95 percent interval
TRUST = 0.25  # standard error of a correction, as a share of it, beyond what its own terms show; set by the bench


@dataclass(frozen=True)
class Estimate:
    """A component's share of the variance with its 95 percent interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Shares:
    """Every component's share, and `fit`: R squared of the surrogates on the trials that they had not seen."""

    of: Mapping[Axes, Estimate]
    fit: float


@dataclass(frozen=True)
class _Variance:
    """An estimated variance; `correction` is how much of it the unseen trials added, `influence` [n] what each added."""

    value: float
    correction: float
    influence: Vector


@dataclass(frozen=True)
class _Unseen:
    """The trials of a fold: places [m, d], their cells [m, d], weights [m] of mean 1, values and predictions [m]."""

    places: Matrix
    index: Matrix
    weights: Vector
    values: Vector
    predicted: Vector

    @property
    def residuals(self) -> Vector:
        return self.values - self.predicted


def corrected_shares(
    points: Matrix, values: Vector, active: Flags, cells: Sequence[Cells], terms: Sequence[int], *, seed: int
) -> Shares:
    """Estimates the shares of all hyperparameters and pairs. `terms`: how many cosines describe each coordinate.

    An inactive coordinate takes a random place: over the cube, it changes nothing there.
    """
    rng = np.random.default_rng([seed, 2])
    count, dimensions = points.shape
    places = np.where(active, points, on_middles(rng.random(points.shape), cells))
    weights = even_weights(places, cells, rng=rng)
    index = np.column_stack([np.floor(places[:, j] * c.count).clip(0, c.count - 1) for j, c in enumerate(cells)])
    pairs = [(a, b) for a in range(dimensions) for b in range(a + 1, dimensions)]
    parts = np.array_split(rng.permutation(count), FOLDS)
    predicted, folds = np.empty(count), []
    for part in parts:
        seen = np.setdiff1d(np.arange(count), part)
        forest = Forest(points[seen], values[seen], active[seen], cells, trees=TREES, rng=rng)
        predicted[part] = forest.predict(places[part])
        weight = weights[part] / weights[part].mean()
        unseen = _Unseen(places[part], index[part].astype(int), weight, values[part], predicted[part])
        folds.append(_of_fold(decompose(forest, pairs, seed=seed), unseen, terms))
    error = float(((predicted - values) ** 2).sum() / ((values - values.mean()) ** 2).sum())
    components, wholes, explained = zip(*folds, strict=True)
    found = {axes: _mean([fold[axes] for fold in components], parts) for axes in components[0]}
    return Shares(_over(found, _mean(wholes, parts), _mean(explained, parts)), 1.0 - error)


def _of_fold(
    fitted: Decomposition, unseen: _Unseen, terms: Sequence[int]
) -> tuple[dict[Axes, _Variance], _Variance, _Variance]:
    """Returns the variances of all components, of everything, and of what the surrogate explains, by one fold."""
    weighted = unseen.weights * unseen.residuals
    products = np.outer(weighted, weighted)
    np.fill_diagonal(products, 0.0)
    kernels = [_kernel(unseen.places[:, axis], count) for axis, count in enumerate(terms)]
    curves = [curve - fitted.mean for curve in fitted.singles]
    found: dict[Axes, _Variance] = {}
    for axis, curve in enumerate(curves):
        at = curve[unseen.index[:, axis]]
        found[(axis,)] = _component(float(np.mean(curve**2)), at * weighted, kernels[axis] * products)
    for a, b in fitted.pairs:
        surface = fitted.pairs[a, b] - fitted.mean - curves[a][:, None] - curves[b]
        at = surface[unseen.index[:, a], unseen.index[:, b]]
        found[a, b] = _component(float(np.mean(surface**2)), at * weighted, kernels[a] * kernels[b] * products)
    return found, *_totals(fitted, unseen)


def _kernel(places: Vector, terms: int) -> Matrix:
    """Returns the projection on the first cosines: orthonormal over [0, 1], and over the middles of more cells."""
    waves = math.sqrt(2) * np.cos(np.pi * np.outer(places, np.arange(1, terms + 1)))
    return np.asarray(waves @ waves.T)


def _component(fitted: float, first: Vector, second: Matrix) -> _Variance:
    pairwise = second.sum(axis=1) / (len(first) - 1)
    return _Variance(fitted + float(np.mean(2 * first + pairwise)), float(np.mean(2 * first + pairwise)),
                     _centred(2 * first + 2 * pairwise))  # fmt: skip


def _totals(fitted: Decomposition, unseen: _Unseen) -> tuple[_Variance, _Variance]:
    """Returns the variance of the values, noise included, and the part that the surrogate explains if scaled best.

    By Cauchy and Schwarz the function's own variance is at least Cov(f, f')^2 / V(f'), and at most the values'.
    """
    weights, residuals = unseen.weights, unseen.residuals
    rest = residuals - np.mean(weights * residuals)
    along = weights * rest * (unseen.predicted - fitted.mean)
    square = weights * rest**2
    unbiased = len(rest) / (len(rest) - 1)
    added = float(2 * along.mean() + unbiased * square.mean())
    whole = _Variance(fitted.total + added, added, _centred(2 * along + square))
    if fitted.total <= 0:
        return whole, _Variance(0.0, 0.0, np.zeros(len(rest)))
    scale = max(0.0, 1 + float(along.mean()) / fitted.total)
    explained = scale**2 * fitted.total
    return whole, _Variance(explained, explained - fitted.total, _centred(2 * scale * along))


def _centred(influence: Vector) -> Vector:
    """Returns the influences about their mean, scaled for the degree of freedom that it takes."""
    count = len(influence)
    return np.asarray((influence - influence.mean()) * math.sqrt(count / (count - 1)))


def _mean(folds: Sequence[_Variance], parts: Sequence[np.ndarray]) -> _Variance:
    influence = np.empty(sum(map(len, parts)))
    for fold, part in zip(folds, parts, strict=True):
        influence[part] = fold.influence
    value, correction = (float(np.mean([getattr(fold, name) for fold in folds])) for name in ("value", "correction"))
    return _Variance(value, correction, influence)


def _over(found: Mapping[Axes, _Variance], whole: _Variance, explained: _Variance) -> dict[Axes, Estimate]:
    """Divides the components by the function's variance, which noise hides between `explained` and `whole`.

    The interval reaches from all residuals being signal to all being noise. The share itself assumes that single
    hyperparameters and pairs make up the function, as far as that lies between the two.
    """
    least = min(whole, explained, key=lambda variance: variance.value)
    middle = min(max(sum(part.value for part in found.values()), least.value), whole.value)
    if middle <= 0:
        return dict.fromkeys(found, Estimate(0.0, 0.0, 1.0))
    answer = {}
    for axes, part in found.items():
        low = part.value / whole.value - NORMAL * _error(part, whole)
        high = part.value / least.value + NORMAL * _error(part, least) if least.value > 0 else 1.0
        answer[axes] = Estimate(*(min(1.0, max(0.0, end)) for end in (part.value / middle, low, high)))
    return answer


def _error(part: _Variance, whole: _Variance) -> float:
    """Returns the standard error of part / whole by the delta method."""
    each = part.influence - part.value / whole.value * whole.influence
    sampled = float((each**2).sum()) / len(each) ** 2
    return math.sqrt(sampled + (TRUST * part.correction) ** 2) / whole.value
