"""A Gaussian process over points of the unit cube: fits, conditions, predicts means and deviations. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from hpo.study.space import Vector

Matrix = NDArray[np.float64]

JITTER = 1e-6  # is added to the noise, so that covariances of equal points have a Cholesky factor
FEW = 60  # with fewer points, a fit starts from the prior's mean as well
LENGTH = -1.5, 1.0  # mean and deviation of log(length scale / sqrt(d)): with longer ones, few points lead into corners
NOISE = -2.0, 1.5  # mean and deviation of log(noise): with less, the scatter of few points passes for structure
_SQRT5 = math.sqrt(5.0)


def matern(squared: Matrix) -> tuple[Matrix, Matrix]:
    """Returns Matern 5/2 at squared distances, and its slope.

    The derivative by a log length scale is the slope times that coordinate's part of the squared distance.
    """
    r = np.sqrt(squared)
    decay = np.exp(-_SQRT5 * r)
    return (1 + _SQRT5 * r + 5 / 3 * squared) * decay, 5 / 3 * (1 + _SQRT5 * r) * decay


class GaussianProcess:
    """k = a Matern52 with one length scale per coordinate, plus noise; the mean is 0.

    `theta` [d + 2]: log length scales, log a, log noise; the most probable ones under normal priors. The prior of the
    length scales grows with the root of d, as distances do (Hvarfner, Hellsten and Nardi 2024), so that few points in
    many dimensions do not pass for noise. Cost O(n^3).
    """

    def __init__(self, dimensions: int) -> None:
        self._d = dimensions
        self._mean = np.array([*[LENGTH[0] + 0.5 * math.log(dimensions)] * dimensions, 0.0, NOISE[0]])
        self._width = np.array([*[LENGTH[1]] * dimensions, 1.0, NOISE[1]])
        self.theta = self._mean.copy()
        self._fitted = False

    def fit(self, x: Matrix, y: Vector, iterations: int = 50) -> None:
        """Finds the most probable theta for values y [n], roughly standardized, at x [n, d].

        Starts from the current theta; while points are few, and several explanations likely, also from the prior's mean.
        """
        from scipy.optimize import minimize  # a quarter of a second, which the start of a study need not wait for

        squared = (x[:, None, :] - x[None, :, :]) ** 2
        starts = [self.theta, self._mean] if len(y) < FEW and self._fitted else [self.theta]
        self._fitted = True
        found = [
            minimize(
                self._objective, start, args=(squared, y), jac=True, method="L-BFGS-B",
                bounds=[(m - 4 * w, m + 4 * w) for m, w in zip(self._mean, self._width, strict=True)],
                options={"maxiter": iterations},
            )
            for start in starts
        ]  # fmt: skip
        self.theta = np.asarray(min(found, key=lambda f: float(f.fun)).x)

    def _objective(self, theta: Vector, squared: Matrix, y: Vector) -> tuple[float, Vector]:
        """Returns the negative log posterior of theta and its gradient."""
        scales, a, noise = np.exp(-2 * theta[: self._d]), math.exp(theta[-2]), math.exp(theta[-1])
        k, slope = matern(squared @ scales)
        lower = cholesky(a * k + (noise + JITTER) * np.eye(len(y)), lower=True)
        alpha = cho_solve((lower, True), y)
        inner = np.outer(alpha, alpha) - cho_solve((lower, True), np.eye(len(y)))
        by_length = np.tensordot(inner * slope, squared, 2) * scales * a
        gradient = 0.5 * np.array([*by_length, a * float((inner * k).sum()), noise * float(np.trace(inner))])
        likelihood = -0.5 * float(y @ alpha) - float(np.log(np.diag(lower)).sum())
        off = (theta - self._mean) / self._width
        return 0.5 * float(off @ off) - likelihood, off / self._width - gradient

    def condition(self, x: Matrix, y: Vector) -> Posterior:
        """Returns the posterior given values y [n] at x [n, d]."""
        covariance = self.covariance(x, x) + (math.exp(self.theta[-1]) + JITTER) * np.eye(len(x))
        lower = cholesky(covariance, lower=True)
        return Posterior(self, x, lower, cho_solve((lower, True), y))

    def covariance(self, a: Matrix, b: Matrix) -> Matrix:
        """Returns the covariance of noiseless values at a [n, d] and b [m, d]; shape [n, m]."""
        lengths = np.exp(self.theta[: self._d])
        left, right = a / lengths, b / lengths
        squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T
        return np.asarray(self.variance * matern(np.maximum(squared, 0.0))[0])

    @property
    def variance(self) -> float:
        """The prior variance of a noiseless value."""
        return math.exp(self.theta[-2])


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process given observations."""

    process: GaussianProcess
    x: Matrix
    lower: Matrix
    alpha: Vector

    def predict(self, x: Matrix) -> tuple[Vector, Vector]:
        """Returns mean and standard deviation of the noiseless values at x [m, d]; both [m]."""
        cross = self.process.covariance(self.x, x)
        explained = solve_triangular(self.lower, cross, lower=True)
        variance = np.maximum(self.process.variance - (explained**2).sum(0), 1e-12)
        return np.asarray(cross.T @ self.alpha), np.sqrt(variance)
