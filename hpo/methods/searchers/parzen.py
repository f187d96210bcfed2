"""Parzen densities over mixed and conditional spaces: mixtures of product kernels on the unit cube. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri

from hpo.study.space import Choice, Config, Domain, SearchSpace, Vector

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
    distance to the farther neighbour on that coordinate (Bergstra et al. 2011), within [1 / min(100, (n + 2)^e), 1] with
    e = 1 + 4 / (d + 4). With e = 1, as in Optuna, a few good points cannot close in on a minimum; among many coordinates,
    kernels have to be wider (as by Scott's rule, 1992). On a choice it is the point's own option or, with the probability
    `shares`, an option drawn from those of all points. Where the point has no value it is uniform. Since kernels are mixed,
    not coordinates, ranges that go together stay together (Falkner et al. 2018). So do few choices; but with c of them the
    own option's part is only 1/c, since a point that keeps dozens of options is the same point again in all that matters.

    `means`, `deviations` [n + 1, d], the prior's last; `weights` [n + 1]; `shares` [d]: for each choice, how often each of
    its options is drawn; none for a range.
    """

    means: Matrix
    deviations: Matrix
    weights: Vector
    shares: tuple[Vector, ...]

    @classmethod
    def fit(cls, space: SearchSpace, rows: Matrix, prior_weight: float = 1.0) -> Parzen:
        """Fits the density of rows [n, d], as `cubes` returns them."""
        n, d = rows.shape
        deviations = np.ones((n + 1, d))
        for j in range(d):
            known = np.flatnonzero(~np.isnan(rows[:, j]))
            deviations[known, j] = _to_farther_neighbour(rows[known, j])
        narrowest = max(1 / 100, (n + 2) ** -(1 + 4 / (d + 4)))
        deviations[:n] = np.clip(deviations[:n], narrowest, 1.0)
        weights = np.append(np.ones(n), prior_weight if n else 1.0)
        shares = tuple(_shares(x, rows[:, j], prior_weight) for j, x in enumerate(space.domains.values()))
        return cls(np.vstack([rows, np.full(d, math.nan)]), deviations, weights / weights.sum(), shares)

    def draw(self, rng: np.random.Generator, count: int) -> Matrix:
        """Draws points of the cube; shape [count, d]."""
        kernels = rng.choice(len(self.weights), count, p=self.weights)
        means, deviations, units = self.means[kernels], self.deviations[kernels], rng.random((count, len(self.shares)))
        low, high = ndtr(-means / deviations), ndtr((1 - means) / deviations)
        points = np.clip(means + deviations * ndtri(low + units * (high - low)), 0.0, 1.0)
        for j, share in enumerate(self.shares):
            if len(share):
                others = (rng.choice(len(share), count, p=share) + 0.5) / len(share)
                points[:, j] = np.where(rng.random(count) < self._others, others, means[:, j])
        return np.where(np.isnan(means), units, points)

    def log_pdf(self, points: Matrix) -> Vector:
        """Returns the log density at points of the cube [m, d]; shape [m]."""
        total = np.zeros((len(points), len(self.weights)))
        for j, share in enumerate(self.shares):
            here, mean, deviation = points[:, j, None], self.means[None, :, j], self.deviations[None, :, j]
            if count := len(share):
                option = np.minimum(np.floor(here * count), count - 1).astype(int)
                own = option == np.floor(mean * count)
                log = np.log(count * (self._others * share[option] + (1 - self._others) * own))
            else:
                inside = ndtr((1 - mean) / deviation) - ndtr(-mean / deviation)
                log = -0.5 * ((here - mean) / deviation) ** 2 - np.log(inside * deviation * math.sqrt(2 * math.pi))
            total += np.where(np.isnan(mean), 0.0, log)
        with np.errstate(divide="ignore"):
            return np.asarray(logsumexp(total + np.log(self.weights), axis=1))

    @property
    def _others(self) -> float:
        """The probability that a choice's option is not the kernel's own but one of all points'."""
        choices = sum(len(share) > 0 for share in self.shares)
        return float(1 - (1 - max(self.weights[-1], 1e-3)) / max(choices, 1))


def _shares(domain: Domain, units: Vector, prior_weight: float) -> Vector:
    """Returns how often each option of a choice is drawn, `prior_weight` as if once more for all together; none for a range."""
    if not isinstance(domain, Choice):
        return np.empty(0)
    many = len(domain.options)
    counts = np.bincount(np.floor(units[~np.isnan(units)] * many).astype(int), minlength=many) + prior_weight / many
    return np.asarray(counts / counts.sum())


def _to_farther_neighbour(values: Vector) -> Vector:
    """Returns each value's distance to the farther of its two neighbours; a single one's to the farther end; shape [n].

    The ends of [0, 1] are nobody's neighbours otherwise: the outermost points would always have the widest kernels.
    """
    if len(values) < 2:
        return np.maximum(values, 1 - values)
    order = np.argsort(values)
    gaps = np.diff(values[order])
    found = np.empty(len(values))
    found[order] = np.maximum(np.append(0.0, gaps), np.append(gaps, 0.0))
    return found
