"""PED-ANOVA, a second opinion on importance: what sets the best trials apart from all. Pure.

Watanabe, Bansal and Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces"
(arXiv 2304.10255). Functional ANOVA explains the metric over the whole space, most of which may be poor; PED-ANOVA compares
the density p' of a hyperparameter among the best trials with its density p among all, by Pearson's divergence
E_p[(p'/p - 1)^2]. Densities are Parzen estimates on a grid with Scott's bandwidth, as in the authors' and Optuna's code.

A conditional hyperparameter is judged by the trials that have it. With the shares a' of the best and a of all trials that
do, its divergence counts a'^2 / a times (arXiv 2601.20800, theorem 4.2): whether it exists is the parent's importance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hpo.results.forest import Vector
from hpo.study.space import Choice, Domain, SearchSpace, Value

Index = NDArray[np.int64]

TOP = 0.1  # gamma', the fraction of trials that count as the best
FEWEST = 5  # of the best trials, if there are so many
STEPS = 50  # places along a continuous hyperparameter
NARROWEST = 0.5 / 1.64  # bandwidth in steps: nine tenths of a kernel stay on its own step
RESAMPLES = 200


@dataclass(frozen=True)
class TopShare:
    """A hyperparameter's part of the divergences of all hyperparameters."""

    name: str
    share: float


@dataclass(frozen=True)
class TopImportance:
    """The hyperparameters that set the best `trials`, the best `fraction` of all, apart; the most important first."""

    fraction: float
    trials: int
    shares: tuple[TopShare, ...]


class PedAnova:
    """The divergences of a study's trials: `values` [n] of `configs`, better as `mode` says."""

    def __init__(
        self,
        space: SearchSpace,
        configs: Sequence[Mapping[str, Value]],
        values: Vector,
        *,
        mode: str,
        top: float = TOP,
    ) -> None:
        self._space = space
        losses = -values if mode == "max" else values
        self._cut = min(len(values), max(FEWEST, math.ceil(top * len(values) - 1e-9)))
        self._losses = losses
        self._places = {name: _places(domain, name, configs) for name, domain in space.domains.items()}

    def importance(self) -> TopImportance:
        """Returns each hyperparameter's part of the divergences; 0 for all if the best trials are all trials."""
        everything = np.arange(len(self._losses))
        found = {name: self.divergence(name, everything) for name in self._space.names}
        total = sum(found.values()) or 1.0
        rows = sorted((TopShare(name, value / total) for name, value in found.items()), key=lambda row: -row.share)
        best = int(self._best(everything).sum())
        return TopImportance(best / len(everything), best, tuple(rows))

    def support(self, above: str, below: str, *, seed: int) -> float:
        """Returns the share of resamples of the trials in which `above` diverges more than `below`."""
        rng, count = np.random.default_rng([seed, 3]), len(self._losses)
        drawn = [rng.integers(count, size=count) for _ in range(RESAMPLES)]
        return float(np.mean([self.divergence(above, rows) > self.divergence(below, rows) for rows in drawn]))

    def divergence(self, name: str, rows: Index) -> float:
        """Returns a'^2 / a times Pearson's divergence of the hyperparameter among the best of the trials `rows`."""
        best = self._best(rows)
        places = self._places[name][rows]
        active = places >= 0
        if not (best & active).any():
            return 0.0
        domain = self._space.domains[name]
        ours, all_of_it = (_density(places[some], domain) for some in (best & active, active))
        pearson = float(all_of_it @ (ours / all_of_it - 1) ** 2)
        return float(active[best].mean() ** 2 / active.mean()) * pearson

    def _best(self, rows: Index) -> NDArray[np.bool_]:
        losses = self._losses[rows]
        return np.asarray(losses <= np.partition(losses, self._cut - 1)[self._cut - 1])


def _steps(domain: Domain) -> tuple[int, bool]:
    """Returns the number of places of a domain, and whether each is one value."""
    exact = isinstance(domain, Choice) or (domain.size <= STEPS and not domain.log)
    return (int(domain.size), True) if exact else (STEPS, False)


def _places(domain: Domain, name: str, configs: Sequence[Mapping[str, Value]]) -> Index:
    """Returns the place of each configuration's value on the grid [n], -1 if it has none."""
    count, exact = _steps(domain)
    units = np.array([domain.encode(config[name]) if name in config else -1.0 for config in configs])
    place = np.floor(units * count) if exact else np.ceil(units * (count - 1) - 0.5)
    return np.where(units < 0, -1, place.clip(0, count - 1)).astype(np.int64)


def _density(places: Index, domain: Domain) -> Vector:
    """Returns the Parzen estimate over the domain's grid: a kernel for each place, and a flat one that counts as a trial."""
    count, _ = _steps(domain)
    middles, repeats = np.unique(places, return_counts=True)
    weights = np.append(repeats, 1) / (len(places) + 1)
    if isinstance(domain, Choice):
        kernels = np.full((len(middles) + 1, count), 1 / (len(middles) + 1))
        kernels[np.arange(len(middles)), middles] += 1
        kernels /= kernels.sum(axis=1, keepdims=True)
    else:
        widths = np.append(np.full(len(middles), _bandwidth(middles, repeats)), count)
        kernels = _bells(np.append(middles, (count - 1) / 2), widths, count)
    return np.asarray(weights @ kernels + 1e-12)


def _bandwidth(middles: Index, repeats: Index) -> float:
    """Returns Scott's (1992) bandwidth in steps, from the smaller of the standard deviation and the quartiles' range."""
    count, below = int(repeats.sum()), np.cumsum(repeats)
    mean = middles @ repeats / count
    deviation = math.sqrt((middles - mean) ** 2 @ repeats / max(1, count - 1))
    first = int(np.searchsorted(below, count // 4, side="left"))
    third = min(len(middles) - 1, int(np.searchsorted(below, count * 3 // 4, side="right")))
    quartiles = float(middles[third] - middles[first])
    return max(NARROWEST, float(1.059 * min(quartiles / 1.34, deviation) * count**-0.2))


def _bells(means: Vector, widths: Vector, count: int) -> Vector:
    """Returns normal kernels [kernels, count] as the mass on each step, cut off at the ends of the grid."""
    edges = (np.arange(count + 1) - 0.5 - means[:, None]) / widths[:, None]
    below = ndtr(edges)
    return np.asarray(np.diff(below, axis=1) / (below[:, -1:] - below[:, :1]))
