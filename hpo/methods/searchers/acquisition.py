"""Acquisition functions: how promising a configuration is, given what a surrogate predicts for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import ndtr

from hpo.methods.searchers.gaussian_process import Matrix, Posterior
from hpo.study.space import Vector

NAMES = ("ei", "log_ei", "ucb", "pi")
DENSITY = math.sqrt(
    2 * math.pi
)  # by which the standard normal's exponential is divided; scipy.stats takes half a second

Acquisition: TypeAlias = Callable[[Vector, Vector], Vector]
"""(means [n], standard deviations [n]) -> utilities [n]; larger is better."""


def acquisition(name: str, best: float, xi: float = 0.0, kappa: float = 1.8) -> Acquisition:
    """Returns one of NAMES, from the bayesian-optimization library; log_ei is the logarithm of its ei, finite where ei is 0.

    best: the greatest value seen; xi: exploration of ei, log_ei and pi; kappa: exploration of ucb.
    """
    if name == "log_ei":
        return lambda mean, deviation: np.log(deviation) + log_improvement((mean - best - xi) / deviation)
    from bayes_opt import acquisition as library

    if name == "ucb":
        return _plain(library.UpperConfidenceBound(kappa=kappa).base_acq)
    chosen = library.ExpectedImprovement(xi=xi) if name == "ei" else library.ProbabilityOfImprovement(xi=xi)
    chosen.y_max = best
    return _plain(chosen.base_acq)


def _plain(function: Callable[[Vector, Vector], object]) -> Acquisition:
    return lambda mean, deviation: np.asarray(function(mean, deviation), dtype=float)


def log_improvement(z: Vector) -> Vector:
    """Returns log(pdf(z) + z cdf(z)) of the standard normal, by its asymptote where the sum is 0 (Ament et al. 2023)."""
    near = np.maximum(z, -5.0)
    far = np.minimum(z, -5.0)
    close = np.log(np.exp(-(near**2) / 2.0) / DENSITY + near * ndtr(near))
    return np.asarray(np.where(z > -5.0, close, -(far**2) / 2.0 - math.log(DENSITY) - 2 * np.log(-far)))


@dataclass(frozen=True)
class Utility:
    """An acquisition function of what a surrogate predicts."""

    rate: Acquisition
    posterior: Posterior

    def __call__(self, rows: Matrix) -> Vector:
        """Returns the utilities of points [n, d]; shape [n]."""
        return self.rate(*self.posterior.predict(rows))

    def slopes(self, rows: Matrix) -> Matrix:
        """Returns the derivatives of the utilities by the points [n, d]; shape [n, d]."""
        mean, deviation = self.posterior.predict(rows)
        step = 1e-4 * deviation
        by_mean = (self.rate(mean + step, deviation) - self.rate(mean - step, deviation)) / (2 * step)
        by_deviation = (self.rate(mean, deviation + step) - self.rate(mean, deviation - step)) / (2 * step)
        means, deviations = self.posterior.slopes(rows)
        return by_mean[:, None] * means + by_deviation[:, None] * deviations
