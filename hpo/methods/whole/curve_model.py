"""A Gaussian process over configuration and epoch, which predicts the ends of learning curves from their beginnings. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from hpo.methods.searchers.gaussian_process import matern
from hpo.study.space import Vector

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Points on learning curves.

    `x` [n, d]: configurations as features; `t` [n]: epochs as log(epoch) / log(R) in [0, 1]; `curve` [n]: whose curve.
    """

    x: Matrix
    t: Vector
    curve: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t)


class CurveModel:
    """Freeze-thaw in spirit (Swersky, Snoek and Adams 2014), with one kernel over everything:

        k = a1 Kx + a2 Kx Kt + same curve (a3 + a4 Kt) + a5 Kt, plus noise

    Similar configurations have similar curves, and each curve has a part of its own. Kx and Kt are Matern 5/2. The log
    length scales [d + 1], the log variances [5] and the log noise are the most probable ones under broad normal priors.
    Cost O(n^3).
    """

    def __init__(self, dimensions: int) -> None:
        self._d = dimensions
        self._mean = np.concatenate([np.full(dimensions, math.log(0.7)), [math.log(0.7)], np.log([0.5] * 5), [-6.0]])
        self._width = np.concatenate([np.full(dimensions, 1.0), [0.7], np.full(5, 1.2), [0.7]])
        self.theta = self._mean.copy()

    def fit(self, points: Points, y: Vector, iterations: int = 25) -> None:
        """Finds the most probable hyperparameters for y [n], roughly standardized, starting from the current ones."""
        squared_x = (points.x[:, None, :] - points.x[None, :, :]) ** 2
        squared_t = (points.t[:, None] - points.t[None, :]) ** 2
        same = (points.curve[:, None] == points.curve[None, :]).astype(float)
        found = minimize(
            self._objective,
            self.theta,
            args=(squared_x, squared_t, same, y),
            jac=True,
            method="L-BFGS-B",
            bounds=[(m - 4 * w, m + 4 * w) for m, w in zip(self._mean, self._width, strict=True)],
            options={"maxiter": iterations},
        )
        self.theta = np.asarray(found.x)

    def _objective(self, theta: Vector, sx: Matrix, st: Matrix, same: Matrix, y: Vector) -> tuple[float, Vector]:
        """Returns the negative log posterior and its gradient."""
        d, scales = self._d, np.exp(-2 * theta[: self._d + 1])
        a, noise = np.exp(theta[d + 1 : d + 6]), math.exp(theta[-1])
        kx, gx = matern(sx @ scales[:d])
        kt, gt = matern(st * scales[d])
        terms = (a[0] * kx, a[1] * kx * kt, a[2] * same, a[3] * same * kt, a[4] * kt)
        lower = cholesky(sum(terms) + (noise + 1e-6) * np.eye(len(y)), lower=True)
        alpha = cho_solve((lower, True), y)
        inner = np.outer(alpha, alpha) - cho_solve((lower, True), np.eye(len(y)))
        by_x = inner * gx * (a[0] + a[1] * kt)
        by_t = inner * gt * (a[1] * kx + a[3] * same + a[4])
        gradient = 0.5 * np.concatenate(
            [
                np.einsum("ij,ijk->k", by_x, sx) * scales[:d],
                [float((by_t * st).sum()) * scales[d]],
                [float((inner * term).sum()) for term in terms],
                [noise * float(np.trace(inner))],
            ]
        )
        likelihood = -0.5 * float(y @ alpha) - float(np.log(np.diag(lower)).sum())
        off = (theta - self._mean) / self._width
        return 0.5 * float(off @ off) - likelihood, off / self._width - gradient

    def condition(self, points: Points, y: Vector) -> Posterior:
        """Returns the posterior given values y [n] at points."""
        covariance = self._covariance(points, points) + (math.exp(self.theta[-1]) + 1e-6) * np.eye(len(points))
        lower = cholesky(covariance, lower=True)
        return Posterior(self, points, lower, cho_solve((lower, True), y))

    def _covariance(self, a: Points, b: Points) -> Matrix:
        d, scales = self._d, np.exp(-2 * self.theta[: self._d + 1])
        v = np.exp(self.theta[d + 1 : d + 6])
        left, right = a.x * np.sqrt(scales[:d]), b.x * np.sqrt(scales[:d])
        squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T
        kx = matern(np.maximum(squared, 0.0))[0]
        kt = matern((a.t[:, None] - b.t[None, :]) ** 2 * scales[d])[0]
        same = a.curve[:, None] == b.curve[None, :]
        return np.asarray(v[0] * kx + v[1] * kx * kt + same * (v[2] + v[3] * kt) + v[4] * kt)

    @property
    def variance(self) -> float:
        """The prior variance of a noiseless value."""
        return float(np.exp(self.theta[self._d + 1 : self._d + 6]).sum())


@dataclass(frozen=True)
class Posterior:
    """A curve model given observations."""

    model: CurveModel
    points: Points
    lower: Matrix
    alpha: Vector

    def ends(self, x: Matrix, curve: NDArray[np.int64]) -> tuple[Vector, Vector]:
        """Returns mean and standard deviation at R of the curves of configurations x [m, d]; both [m]."""
        return self.predict(Points(x, np.ones(len(x)), curve))

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Returns mean and standard deviation of the noiseless curves at points; both [m]."""
        cross = self.model._covariance(self.points, points)
        explained = solve_triangular(self.lower, cross, lower=True)
        variance = np.maximum(self.model.variance - (explained**2).sum(0), 1e-12)
        return np.asarray(cross.T @ self.alpha), np.sqrt(variance)
