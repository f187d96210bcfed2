"""Parzen densities over mixed and conditional spaces: mixtures of product kernels on the unit cube. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri

from hpo.study.space import Choice, Config, SearchSpace, Vector

Matrix = NDArray[np.float64]


def cubes(space: SearchSpace, configs: list[Config]) -> Matrix:
    """Returns the configurations' points in the unit cube, NaN where a hyperparameter does not exist; shape [n, d]."""
    rows = np.array([space.encode(config) for config in configs]).reshape(len(configs), len(space))
    rows[[[name not in config for name in space.names] for config in configs] or ...] = math.nan
    return rows


@dataclass(frozen=True)
class Parzen:
    """A mixture of a kernel on each of n points and one over the whole cube, the prior; only the prior's weight differs.

    A kernel is a product over the coordinates. On a range it is a normal truncated at 0 and 1, whose deviation is the
    distance to the farther neighbour on that coordinate (Bergstra et al. 2011), within [1 / min(100, n + 2), 1]. On a
    choice it is the point's option, mixed with all options alike. Where the point has no value it is uniform. Since
    kernels are mixed, not coordinates, hyperparameters that go together stay together (Falkner et al. 2018).

    `means`, `deviations` [n + 1, d], the prior's last; `options` [d]: how many a choice has, 0 for a range; `weights` [n + 1].
    """

    means: Matrix
    deviations: Matrix
    options: NDArray[np.int64]
    weights: Vector

    @classmethod
    def fit(cls, space: SearchSpace, rows: Matrix, prior_weight: float = 1.0) -> Parzen:
        """Fits the density of rows [n, d], as `cubes` returns them."""
        n, d = rows.shape
        deviations = np.ones((n + 1, d))
        for j in range(d):
            known = np.flatnonzero(~np.isnan(rows[:, j]))
            deviations[known, j] = _to_farther_neighbour(rows[known, j])
        deviations[:n] = np.clip(deviations[:n], 1 / min(100, n + 2), 1.0)
        options = np.array([len(x.options) if isinstance(x, Choice) else 0 for x in space.domains.values()])
        weights = np.append(np.ones(n), prior_weight if n else 1.0)
        return cls(np.vstack([rows, np.full(d, math.nan)]), deviations, options, weights / weights.sum())

    def draw(self, rng: np.random.Generator, count: int) -> Matrix:
        """Draws points of the cube; shape [count, d]."""
        kernels = rng.choice(len(self.weights), count, p=self.weights)
        means, deviations, units = self.means[kernels], self.deviations[kernels], rng.random((count, len(self.options)))
        low, high = ndtr(-means / deviations), ndtr((1 - means) / deviations)
        points = np.clip(means + deviations * ndtri(low + units * (high - low)), 0.0, 1.0)
        own = np.where(rng.random(units.shape) < self._mixing, units, means)
        points = np.where(self.options > 0, own, points)
        return np.where(np.isnan(means), units, points)

    def log_pdf(self, points: Matrix) -> Vector:
        """Returns the log density at points of the cube [m, d]; shape [m]."""
        total = np.zeros((len(points), len(self.weights)))
        for j, count in enumerate(self.options):
            here, mean, deviation = points[:, j, None], self.means[None, :, j], self.deviations[None, :, j]
            if count:
                same = np.floor(here * count) == np.floor(mean * count)
                log = np.log(self._mixing + (1 - self._mixing) * count * same)
            else:
                inside = ndtr((1 - mean) / deviation) - ndtr(-mean / deviation)
                log = -0.5 * ((here - mean) / deviation) ** 2 - np.log(inside * deviation * math.sqrt(2 * math.pi))
            total += np.where(np.isnan(mean), 0.0, log)
        with np.errstate(divide="ignore"):
            return np.asarray(logsumexp(total + np.log(self.weights), axis=1))

    @property
    def _mixing(self) -> float:
        """The weight of all options alike in a choice's kernel, which is the prior's."""
        return float(max(self.weights[-1], 1e-3))


def _to_farther_neighbour(values: Vector) -> Vector:
    """Returns each value's distance to the farther of its two neighbours, of which 0 and 1 may be one; shape [n]."""
    order = np.argsort(values)
    fenced = np.concatenate([[0.0], values[order], [1.0]])
    found = np.empty(len(values))
    found[order] = np.maximum(fenced[1:-1] - fenced[:-2], fenced[2:] - fenced[1:-1])
    return found
