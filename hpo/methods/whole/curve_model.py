"""A Gaussian process over learning curves that predicts their ends: freeze-thaw (Swersky, Snoek and Adams 2014). Pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from hpo.methods.searchers.gaussian_process import matern
from hpo.study.space import Vector

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

JITTER = 1e-6
FITTED = 96  # the most curves that length scales are fitted to
STEPS = 12  # of the optimizer in a fit, which starts from the last one's end


@dataclass(frozen=True)
class Curves:
    """Curves that a model learns from, standardized, at the epochs where trials pause.

    `x` [n, d]: configurations as features; `y` [n, levels]: values as far as they are known, 0 for the median trial;
    `known` [n]: at how many levels, 0 for a trial that has no result yet; `failed` [n]: whether the curve cannot go on.
    """

    x: Matrix
    y: Matrix
    known: NDArray[np.int64]
    failed: Flags

    def first(self, n: int) -> Curves:
        """Returns the first n of the curves."""
        return Curves(self.x[:n], self.y[:n], self.known[:n], self.failed[:n])


@dataclass(frozen=True)
class Shape:
    """How curves approach their asymptotes f: y(t) = f - gain g(t) + a deviation of variance spread g(t) + noise.

    g(t) = (2 / (1 + t))^power falls from 1 at the first epoch. Deviations at s and t have the covariance of g((s + t) / 2):
    Swersky's kernel, a mixture of exponential decays.
    """

    power: float = 1.0
    gain: float = 1.0
    spread: float = 2.0
    noise: float = 0.003

    def mean(self, t: Vector) -> Vector:
        """Returns the mean of y - f at epochs t."""
        return np.asarray(-self.gain * (2.0 / (1.0 + t)) ** self.power)

    def covariance(self, s: Vector, t: Vector) -> Matrix:
        """Returns the covariance of deviations at epochs s [n] and t [m]; shape [n, m]."""
        return np.asarray(self.spread * (4.0 / (2.0 + s[:, None] + t[None, :])) ** self.power)

    @property
    def oddity(self) -> float:
        """How far power and spread are from the default ones, as a negative log prior."""
        return 0.5 * ((math.log(self.power) / 0.7) ** 2 + (math.log(self.spread / 2.0) / 1.0) ** 2)


SHAPES = [
    Shape(power, 1.0, spread, noise)
    for power, spread, noise in itertools.product((0.5, 1.0, 2.0), (0.25, 0.5, 1.0, 2.0, 4.0), (0.003, 0.03))
]
"""The shapes among which a model chooses; it finds the most probable gain for each."""


class CurveModel:
    """Asymptotes are a Gaussian process over configurations; given its asymptote, each curve is a process of its own.

    So inference costs O(n^3) for n curves, however long they are. The asymptotes' kernel is a Matern 5/2 with one length
    scale per feature, plus a part of each trial's own; both are the most probable ones under broad normal priors, and so
    is the shape among SHAPES. `levels`: the epochs at which curves are known.
    """

    def __init__(self, dimensions: int, levels: list[int]) -> None:
        self._d = dimensions
        self._mean = np.array(
            [*[math.log(0.5) + 0.5 * math.log(dimensions)] * dimensions, math.log(0.5), math.log(0.3)]
        )
        self._width = np.array([*[0.8] * dimensions, 1.0, 1.0])
        self.theta = self._mean.copy()  # log length scales [d], log variances of the shared and the own part
        self.levels = np.array(levels, dtype=float)
        self.shape = Shape()

    # -- one curve ----------------------------------------------------------------------------------------------------

    def _inverse(self, shape: Shape, known: int) -> Matrix:
        """Returns the precision of a curve at its first levels, given its asymptote."""
        t = self.levels[:known]
        return np.asarray(np.linalg.inv(shape.covariance(t, t) + shape.noise * np.eye(known)))

    def asymptotes(self, curves: Curves, shape: Shape | None = None) -> tuple[Vector, Vector]:
        """Returns what each curve alone tells of its asymptote: estimates and their variances; both [n].

        A failed trial stays at its last value, or at the worst estimate if it has none. So does a trial without a
        result; its variance is that of a trial's first result.
        """
        shape = shape or self.shape
        found, variance = np.full(len(curves.x), np.inf), np.full(len(curves.x), shape.noise)
        for known in range(1, len(self.levels) + 1):
            rows = curves.known == known
            weights = self._inverse(shape, known).sum(0)
            going = rows & ~curves.failed
            found[going] = (curves.y[going, :known] - shape.mean(self.levels[:known])) @ weights / weights.sum()
            variance[going] = 1.0 / weights.sum()
            found[rows & curves.failed] = curves.y[rows & curves.failed, known - 1]
        none = curves.known == 0
        found[none] = found[~none].min(initial=-1.0)
        variance[none & ~curves.failed] = shape.spread + shape.noise
        return found, variance

    # -- fitting ------------------------------------------------------------------------------------------------------

    def fit(self, curves: Curves) -> None:
        """Finds the most probable shape and length scales for curves that have results, the most telling ones first."""
        better = _better(curves)
        rated = [self._rated(better, shape) for shape in SHAPES]
        self.shape = max(rated, key=lambda found: found[0])[1]
        self._fit_lengths(curves.first(FITTED))

    def _rated(self, rows: list[Matrix], shape: Shape) -> tuple[float, Shape]:
        """Returns the log posterior of a shape with its most probable gain, and the shape with that gain.

        `rows`: curves [m, k] by how many levels are known. Their asymptotes are taken as independent, of variance 1;
        their mean and the gain, on which values depend linearly, have the priors N(0, 3^2) and N(1, 3^2).
        """
        prior = np.array([0.0, 1.0])
        precision, weighted = np.eye(2) / 9.0, prior / 9.0
        likelihood = -0.5 * float(prior @ prior) / 9.0
        for y in rows:
            t = self.levels[: y.shape[1]]
            lower = cholesky(shape.covariance(t, t) + 1.0 + shape.noise * np.eye(len(t)), lower=True)
            basis = solve_triangular(
                lower, np.column_stack([np.ones(len(t)), replace(shape, gain=1.0).mean(t)]), lower=True
            )
            white = solve_triangular(lower, y.T, lower=True)
            precision += len(y) * basis.T @ basis
            weighted += basis.T @ white.sum(1)
            likelihood -= 0.5 * float((white**2).sum()) + len(y) * float(np.log(np.diag(lower)).sum())
        best = np.linalg.solve(precision, weighted)
        likelihood += 0.5 * float(best @ weighted) - 0.5 * float(np.linalg.slogdet(precision)[1])
        return likelihood - shape.oddity, replace(shape, gain=max(0.0, float(best[1])))

    def _fit_lengths(self, curves: Curves) -> None:
        from scipy.optimize import minimize  # a quarter of a second, which the start of a study need not wait for

        found, variance = self.asymptotes(curves)
        weights = 1 / (variance + 1.0)
        squared = (curves.x[:, None, :] - curves.x[None, :, :]) ** 2
        moving = np.flatnonzero(squared.any(axis=(0, 1)))  # other features keep their length scales
        solution = minimize(
            self._objective,
            self.theta[[*moving, -2, -1]],
            args=(moving, squared[:, :, moving], found - np.average(found, weights=weights), variance),
            jac=True,
            method="L-BFGS-B",
            bounds=[
                (self._mean[i] - 3 * self._width[i], self._mean[i] + 3 * self._width[i]) for i in [*moving, -2, -1]
            ],
            options={"maxiter": STEPS},
        )
        self.theta[[*moving, -2, -1]] = solution.x

    def _objective(
        self, theta: Vector, moving: NDArray[np.int64], squared: Matrix, y: Vector, noise: Vector
    ) -> tuple[float, Vector]:
        """Returns the negative log posterior of the `moving` length scales and the variances, and its gradient."""
        scales, shared, own = np.exp(-2 * theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
        k, slope = matern(squared @ scales)
        lower = cholesky(shared * k + np.diag(own + noise + JITTER), lower=True)
        alpha = cho_solve((lower, True), y)
        inner = np.outer(alpha, alpha) - cho_solve((lower, True), np.eye(len(y)))
        by_length = np.tensordot(inner * slope, squared, 2) * scales * shared
        gradient = 0.5 * np.array([*by_length, shared * float((inner * k).sum()), own * float(np.trace(inner))])
        likelihood = -0.5 * float(y @ alpha) - float(np.log(np.diag(lower)).sum())
        kept = [*moving, -2, -1]
        off = (theta - self._mean[kept]) / self._width[kept]
        return 0.5 * float(off @ off) - likelihood, off / self._width[kept] - gradient

    # -- predicting ---------------------------------------------------------------------------------------------------

    def covariance(self, a: Matrix, b: Matrix) -> Matrix:
        """Returns the covariance of the shared part of asymptotes at a [n, d] and b [m, d]; shape [n, m]."""
        lengths = np.exp(self.theta[: self._d])
        left, right = a / lengths, b / lengths
        squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T
        return np.asarray(math.exp(self.theta[-2]) * matern(np.maximum(squared, 0.0))[0])

    @property
    def own(self) -> float:
        """The variance of the part of an asymptote that a trial shares with no other."""
        return math.exp(self.theta[-1])


def _better(curves: Curves) -> list[Matrix]:
    """Returns the better half of the curves by how many levels are known: how bad ones stay bad tells nothing of the good."""
    last = np.where(curves.known > 0, curves.y[np.arange(len(curves.y)), curves.known - 1], -np.inf)
    going = curves.known * (~curves.failed & (last >= 0.0))
    return [curves.y[going == known, :known] for known in sorted(set(going.tolist()) - {0})]


@dataclass(frozen=True)
class Forecast:
    """A curve model given curves: means and deviations of what curves will be."""

    model: CurveModel
    curves: Curves

    @cached_property
    def _asymptotes(self) -> tuple[Matrix, Matrix, Vector, float]:
        """Returns the shared covariance, the Cholesky factor, the weights and the prior mean.

        Trials without a result have no weight, but they lessen the uncertainty around them: as if what was expected had
        come.
        """
        curves, model = self.curves, self.model
        found, variance = model.asymptotes(curves)
        shared = model.covariance(curves.x, curves.x)
        told = (curves.known > 0) | curves.failed
        lower = cholesky(shared + np.diag(model.own + variance + JITTER), lower=True)
        some = lower
        if not told.all():
            kept = np.flatnonzero(told)
            some = cholesky(shared[np.ix_(kept, kept)] + np.diag(model.own + variance[kept] + JITTER), lower=True)
        ones = cho_solve((some, True), np.ones(int(told.sum())))
        mean = float(ones @ found[told] / ones.sum()) if len(ones) else 0.0
        alpha = np.zeros(len(curves.x))
        alpha[told] = cho_solve((some, True), found[told] - mean)
        return shared, lower, alpha, mean

    def _posterior(self, cross: Matrix, prior: float) -> tuple[Vector, Vector]:
        """Returns mean and variance of asymptotes by their covariances with the known ones, [n, m]."""
        _, lower, alpha, mean = self._asymptotes
        explained = solve_triangular(lower, cross, lower=True)
        return mean + cross.T @ alpha, np.maximum(prior - (explained**2).sum(0), 1e-9)

    def begun(self, horizon: int) -> tuple[Vector, Vector]:
        """Returns mean and deviation of the model's own curves `horizon` epochs on, at most at the last level; both [n]."""
        model, curves, shape = self.model, self.curves, self.model.shape
        shared = self._asymptotes[0]
        mean, variance = self._posterior(
            shared + model.own * np.eye(len(shared)), math.exp(model.theta[-2]) + model.own
        )
        for known in range(1, len(model.levels) + 1):
            rows = np.flatnonzero((curves.known == known) & ~curves.failed)
            t, then = model.levels[:known], np.minimum(model.levels[known - 1 : known] + horizon, model.levels[-1])
            cross = shape.covariance(then, t)[0]
            weights = cross @ model._inverse(shape, known)
            rest = 1.0 - weights.sum()
            kept = (curves.y[rows, :known] - shape.mean(t)) @ weights
            mean[rows] = rest * mean[rows] + shape.mean(then) + kept
            variance[rows] = rest**2 * variance[rows] + shape.covariance(then, then)[0] - weights @ cross
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def new(self, x: Matrix, horizon: int) -> tuple[Vector, Vector]:
        """Returns mean and deviation of new trials of configurations x [m, d] after `horizon` epochs; both [m]."""
        model, then = self.model, np.array([min(float(horizon), self.model.levels[-1])])
        prior = math.exp(model.theta[-2]) + model.own
        mean, variance = self._posterior(model.covariance(self.curves.x, x), prior)
        return mean + model.shape.mean(then), np.sqrt(variance + model.shape.covariance(then, then)[0])
