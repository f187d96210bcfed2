"""A Gaussian process over points of the unit cube: fits, conditions, predicts means and deviations. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

from hpo.study.space import Vector

Matrix = NDArray[np.float64]

JITTER = 1e-6  # is added to the noise, so that covariances of equal points have a Cholesky factor
FEW = 60  # with fewer points, a fit starts from the prior as well
LENGTH = -1.5, 1.0  # mean and deviation of log(length scale / sqrt(d)): with longer ones, few points lead into corners
NOISY = -2.0, 1.5  # mean and deviation of log(noise) where the scatter of few points would pass for structure
ADDITIVE = 20  # with so many hyperparameters, b is expected to be like a: with more, interactions are harder to tell
UNKNOWN = -6.0, 3.0  # the same where there may be as good as no noise
_SQRT5 = math.sqrt(5.0)


def matern(squared: Matrix) -> tuple[Matrix, Matrix]:
    """Returns Matern 5/2 at squared distances, and its slope.

    The derivative by a log length scale is the slope times that coordinate's part of the squared distance.
    """
    r = np.sqrt(squared)
    decay = np.exp(-_SQRT5 * r)
    return (1 + _SQRT5 * r + 5 / 3 * squared) * decay, 5 / 3 * (1 + _SQRT5 * r) * decay


def distances(a: Matrix, b: Matrix) -> Matrix:
    """Returns the squared distances of points a [n, d] from points b [m, d]; shape [n, m]."""
    return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T, 0.0))


def main_effects(a: Matrix, b: Matrix) -> Matrix:
    """Returns 1 - the city-block distances of points a [n, d] from points b [m, d]; shape [n, m]."""
    return np.asarray(1 - cdist(a, b, "cityblock"))


class GaussianProcess:
    """k = a Matern52 with one length scale per hyperparameter + b (1 - mean distance) + noise; the mean is 0.

    `groups` [d]: the number of each coordinate's hyperparameter, from 0. The options of a choice share a length scale,
    so that any two are equally far apart. `noise`: mean and deviation of its logarithm. `theta` [hyperparameters + 3]:
    log length scales, log a, log b, log noise; the most probable ones under normal priors. The prior of the length scales
    grows with the root of the number of hyperparameters, as distances do (Hvarfner, Hellsten and Nardi 2024), so that few
    points in many dimensions do not pass for noise.

    The mean distance is that of the hyperparameters' values, each in [0, 1]. Its part of the kernel is a sum of one
    function for each hyperparameter, which a dozen observations of dozens of hyperparameters can tell, unlike their
    interactions. Without `additive` it is absent. Cost O(n^3).
    """

    def __init__(self, groups: Sequence[int], noise: tuple[float, float] = UNKNOWN, additive: bool = False) -> None:
        self._groups = np.array(groups)
        count = int(self._groups.max()) + 1
        many = np.bincount(self._groups)[self._groups]
        self._shares = np.where(many > 1, 0.5, 1.0) / count  # two options differ in two coordinates
        self._additive = additive
        length = LENGTH[0] + 0.5 * math.log(count)
        self._mean = np.array([*[length] * count, 0.0, math.log(count / ADDITIVE), noise[0]])
        self._width = np.array([*[LENGTH[1]] * count, 1.0, 1.0, noise[1]])
        self.theta = self._mean.copy()
        self._fitted = False

    def fit(self, x: Matrix, y: Vector, iterations: int = 50) -> None:
        """Finds the most probable theta for values y [n], roughly standardized, at x [n, d].

        Starts from the current theta; while points are few, and several explanations likely, also from the prior's mean
        with little and with much noise.
        """
        from scipy.optimize import minimize  # a quarter of a second, which the start of a study need not wait for

        main = main_effects(x * self._shares, x * self._shares)
        starts = [self.theta] if self._fitted else []
        if len(y) < FEW or not self._fitted:
            aside = np.zeros(len(self._mean))
            aside[-1] = self._width[-1]
            starts += [self._mean - aside, self._mean + aside]
        self._fitted = True
        found = [
            minimize(
                self._objective, start, args=(x, y, main), jac=True, method="L-BFGS-B",
                bounds=[(m - 4 * w, m + 4 * w) for m, w in zip(self._mean, self._width, strict=True)],
                options={"maxiter": iterations},
            )
            for start in starts
        ]  # fmt: skip
        self.theta = np.asarray(min(found, key=lambda f: float(f.fun)).x)

    def _objective(self, theta: Vector, x: Matrix, y: Vector, main: Matrix) -> tuple[float, Vector]:
        """Returns the negative log posterior of theta and its gradient."""
        a, b, noise = self._amplitudes(theta)
        scaled = x * np.exp(-theta[self._groups])
        k, slope = matern(distances(scaled, scaled))
        lower = cholesky(a * k + b * main + (noise + JITTER) * np.eye(len(y)), lower=True, check_finite=False)
        alpha = cho_solve((lower, True), y, check_finite=False)
        inner = np.outer(alpha, alpha) - cho_solve((lower, True), np.eye(len(y)), check_finite=False)
        weights = inner * slope
        by_column = 2 * (weights.sum(1) @ scaled**2 - (scaled * (weights @ scaled)).sum(0))
        by_length = a * np.bincount(self._groups, by_column)
        gradient = 0.5 * np.array(
            [*by_length, a * float((inner * k).sum()), b * float((inner * main).sum()), noise * float(np.trace(inner))]
        )
        likelihood = -0.5 * float(y @ alpha) - float(np.log(np.diag(lower)).sum())
        off = (theta - self._mean) / self._width
        return 0.5 * float(off @ off) - likelihood, off / self._width - gradient

    def condition(self, x: Matrix, y: Vector) -> Posterior:
        """Returns the posterior given values y [n] at x [n, d]."""
        a, b, noise = self._amplitudes(self.theta)
        kernel = Kernel(np.exp(-self.theta[self._groups]), self._shares, a, b)
        covariance = kernel(x, x) + (noise + JITTER) * np.eye(len(x))
        lower = cholesky(covariance, lower=True)
        return Posterior(kernel, x, y, lower, cho_solve((lower, True), y))

    def _amplitudes(self, theta: Vector) -> tuple[float, float, float]:
        """Returns a, b and the noise."""
        return math.exp(theta[-3]), math.exp(theta[-2]) if self._additive else 0.0, math.exp(theta[-1])


@dataclass(frozen=True)
class Kernel:
    """Covariances of noiseless values. `inverse`, `shares` [d]: by which coordinates are multiplied in both parts."""

    inverse: Vector
    shares: Vector
    a: float
    b: float

    def __call__(self, x: Matrix, z: Matrix) -> Matrix:
        """Returns the covariances of x [n, d] with z [m, d]; shape [n, m]."""
        covariance = self.a * matern(distances(x * self.inverse, z * self.inverse))[0]
        return covariance + self.b * main_effects(x * self.shares, z * self.shares) if self.b else covariance

    @property
    def variance(self) -> float:
        """The variance of a value before any observation."""
        return self.a + self.b

    def slopes(self, x: Matrix, z: Matrix, weights: Matrix) -> Matrix:
        """Returns the derivatives by z [m, d] of the sums over x [n, d] of covariances times weights [n, m]; [m, d]."""
        near, at = x * self.inverse, z * self.inverse
        smooth = -self.a * matern(distances(near, at))[1] * weights
        total = (at * smooth.sum(0)[:, None] - smooth.T @ near) * self.inverse
        if self.b:
            total -= self.b * self.shares * np.einsum("nm,nmd->md", weights, np.sign(z[None] - x[:, None]))
        return np.asarray(total)


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process given observations y [n] at x [n, d]."""

    kernel: Kernel
    x: Matrix
    y: Vector
    lower: Matrix
    alpha: Vector

    def predict(self, x: Matrix) -> tuple[Vector, Vector]:
        """Returns mean and standard deviation of the noiseless values at x [m, d]; both [m]."""
        cross = self.kernel(self.x, x)
        explained = solve_triangular(self.lower, cross, lower=True, check_finite=False)
        variance = np.maximum(self.kernel.variance - (explained**2).sum(0), 1e-12)
        return np.asarray(cross.T @ self.alpha), np.sqrt(variance)

    def slopes(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Returns the derivatives of mean and standard deviation by x [m, d]; both [m, d]."""
        cross = self.kernel(self.x, x)
        solved = cho_solve((self.lower, True), cross, check_finite=False)
        deviation = np.sqrt(np.maximum(self.kernel.variance - (solved * cross).sum(0), 1e-12))
        alphas = np.broadcast_to(self.alpha[:, None], cross.shape)
        return self.kernel.slopes(self.x, x, alphas), -self.kernel.slopes(self.x, x, solved) / deviation[:, None]

    def left_out(self) -> Vector:
        """Returns what the process would predict for each observation from the others; shape [n]."""
        inverse = cho_solve((self.lower, True), np.eye(len(self.y)), check_finite=False)
        return np.asarray(self.y - self.alpha / np.diag(inverse))
