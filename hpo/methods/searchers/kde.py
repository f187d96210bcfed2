"""The searcher of BOHB: kernel densities of good and bad configurations (Falkner, Klein and Hutter 2018). Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers.costs import improvement
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Choice, Config, Vector
from hpo.study.values import digest

NARROWEST = 0.02  # the least bandwidth; below it, suggestions are the same point again in all that matters
POINTS = 1000  # the most rows of a density, thinned evenly over the ranks, so that a suggestion's cost is bounded


def split(n: int, d: int, fraction: float, published: bool = True) -> tuple[int, int]:
    """Returns how many of n ranked points are good and how many are bad (equation 3 of the paper; q = `fraction`).

    N_min = d + 1; good: max(N_min, floor(q * n)); bad: max(N_min, n - good), so that with few points they overlap.
    Unless `published`, half of N_min may be good, and no point is both.

    >>> split(100, 2, 0.15), split(8, 5, 0.15), split(12, 5, 0.15, published=False)
    ((15, 85), (6, 6), (3, 9))
    """
    if published:
        good = max(d + 1, int(fraction * n))
        return good, max(d + 1, n - good)
    good = max((d + 1) // 2, int(fraction * n), 1)
    return good, n - good


def enough(d: int, published: bool = True) -> int:
    """Returns how many results a training length needs to be modelled: N_min + 2 in the paper, 2 * N_min here."""
    return d + 3 if published else 2 * (d + 1)


@dataclass(frozen=True)
class Density:
    """A product kernel over the unit cube: Gaussian for ranges, Aitchison-Aitken for choices.

    `rows` [n, d], `bandwidths` [d], `options` [d]: how many a choice has, 0 for a range.
    """

    rows: NDArray[np.float64]
    bandwidths: Vector
    options: NDArray[np.int64]

    @classmethod
    def fit(cls, rows: NDArray[np.float64], options: NDArray[np.int64], narrowest: float) -> Density:
        """Fits bandwidths by the normal reference rule, 1.06 * std * n^(-1/(4+d)), but none below `narrowest`."""
        n, d = rows.shape
        codes = np.where(options > 0, np.floor(rows * np.maximum(options, 1)), rows)
        bandwidths = np.maximum(1.06 * codes.std(axis=0) * n ** (-1.0 / (4 + d)), narrowest)
        widest = np.where(options > 0, 1.0 - 1.0 / np.maximum(options, 1), np.inf)
        return cls(rows, np.minimum(bandwidths, np.maximum(widest, narrowest)), options)

    def log_pdf(self, points: NDArray[np.float64]) -> Vector:
        """Returns the log density at points [m, d]; shape [m]."""
        total = np.zeros((len(points), len(self.rows)))
        for j, (bandwidth, count) in enumerate(zip(self.bandwidths, self.options, strict=True)):
            there, here = points[:, j, None], self.rows[None, :, j]
            if count:
                same = np.floor(there * count) == np.floor(here * count)
                total += np.where(same, math.log(1 - bandwidth), math.log(bandwidth / max(count - 1, 1)))
            else:
                total -= 0.5 * ((there - here) / bandwidth) ** 2 + math.log(bandwidth * math.sqrt(2 * math.pi))
        highest = total.max(axis=1, keepdims=True)
        return np.asarray(highest[:, 0] + np.log(np.exp(total - highest).sum(axis=1)) - math.log(len(self.rows)))

    def draw(self, rng: np.random.Generator, count: int, factor: float) -> NDArray[np.float64]:
        """Draws `count` points near rows, with the bandwidths of ranges widened by `factor`; shape [count, d]."""
        points = self.rows[rng.integers(len(self.rows), size=count)].copy()
        for j, (bandwidth, size) in enumerate(zip(self.bandwidths, self.options, strict=True)):
            if size:
                moved = rng.random(count) < bandwidth
                points[:, j] = np.where(moved, rng.random(count), points[:, j])
            else:
                points[:, j] = _truncated_normal(rng, points[:, j], bandwidth * factor)
        return points


def _truncated_normal(rng: np.random.Generator, mean: Vector, deviation: float) -> Vector:
    """Draws normally around means in [0, 1], and again for each draw outside [0, 1]; shape of `mean`."""
    draws = rng.normal(mean, deviation)
    while (outside := (draws < 0) | (draws > 1)).any():
        draws[outside] = rng.normal(mean[outside], deviation)
    return np.asarray(draws)


class Results:
    """The results at one training length, the best first and failures last."""

    def __init__(self) -> None:
        self.keys: list[tuple[float, int]] = []  # (-value, arrival)
        self.rows: list[Vector] = []  # in the same order

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, row: Vector, value: float, arrival: int) -> None:
        place = bisect_right(self.keys, (-value, arrival))
        self.keys.insert(place, (-value, arrival))
        self.rows.insert(place, row)


class Kde(Searching):
    """Draws near good configurations and suggests the draw with the highest ratio of good to bad density.

    Good and bad are the two parts of the results at the longest training that enough trials reached. `random_fraction`
    of the suggestions are random. Symbols of the paper: q = top, rho = random_fraction, N_s = samples,
    b_w = bandwidth_factor. `cost_aware`: whether costs count, see Costs.

    With d hyperparameters the paper calls at least d + 1 results good and models a training length from d + 3 results
    on: of 11 results in 8 dimensions, 9 are good, 9 are bad and 7 are both, and what shorter trainings told is forgotten.
    So half as many may be good here, and the model waits for two disjoint parts. And running configurations without a
    result count as bad here, and no bandwidth is below 0.02 (0.001 in the paper), or hundreds of workers would all work on
    one spot. `published` follows the paper.
    """

    def __init__(
        self,
        setting: Setting,
        budgets: Sequence[int],
        *,
        top: float = 0.15,
        random_fraction: float = 1 / 3,
        samples: int = 64,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float | None = None,
        published: bool = False,
        cost_aware: bool | None = False,
    ) -> None:
        super().__init__(setting, tag=0xB0B, random_fraction=random_fraction, cost_aware=cost_aware)
        self._space = setting.space
        self._budgets = sorted(set(budgets))
        self._top = options.real("top", top, 0.0, 1.0)
        self._samples = options.whole("samples", samples, 1)
        self._factor = options.real("bandwidth_factor", bandwidth_factor, 1e-6, 1e6)
        self._published = options.flag("published", published)
        narrowest = (1e-3 if published else NARROWEST) if min_bandwidth is None else min_bandwidth
        self._narrowest = options.real("min_bandwidth", narrowest, 1e-9, 0.5)
        self._options = np.array([len(d.options) if isinstance(d, Choice) else 0 for d in self._space.domains.values()])
        self._results = [Results() for _ in self._budgets]
        self._arrivals = 0
        self._reached: dict[str, int] = {}  # running configurations: how many of the budgets they have reached
        self._model: tuple[tuple[int, int], Density, Density] | None = None
        for observation in setting.prior:
            level = bisect_right(self._budgets, observation.epoch) - 1
            if level >= 0 and observation.config in self._space:
                self._add(level, observation.config, observation.value)

    def propose(self, rng: np.random.Generator) -> Config | None:
        densities = self._densities()
        if densities is None:
            return self.history.sample(rng)
        good, bad = densities
        waiting = self.history.untouched()
        if waiting and not self._published:
            bad = replace(bad, rows=np.vstack([bad.rows, [self._row(config) for config in waiting]]))
        if self._space.pool is not None:
            return self.history.best_open(
                self._space.pool.cubes, lambda cubes: self._rate(cubes, good, bad), self.costs.pool
            )
        return next((config for config in self._ranked(good, bad, rng) if self.history.is_new(config)), None)

    def observe(self, config: Config, epoch: int, value: float) -> None:
        super().observe(config, epoch, value)
        level = bisect_left(self._budgets, epoch)
        if level < len(self._budgets) and self._budgets[level] == epoch:
            self._add(level, config, value)
            self._reached[digest(dict(config))] = level + 1

    def fail(self, config: Config) -> None:
        super().fail(config)
        level = self._reached.pop(digest(dict(config)), 0)
        if level < len(self._budgets):
            self._add(level, config, -math.inf)

    def close(self, config: Config) -> None:
        super().close(config)
        self._reached.pop(digest(dict(config)), None)

    def _add(self, level: int, config: Config, value: float) -> None:
        self._results[level].add(self._row(config), value, self._arrivals)
        self._arrivals += 1

    def _row(self, config: Config) -> Vector:
        row = self._space.encode(config)
        if len(config) < len(row):  # for a hyperparameter that does not exist here, any value is as good as another
            missing = [name not in config for name in self._space.names]
            row[missing] = np.random.default_rng([self.setting.seed, self._arrivals]).random(sum(missing))
        return row

    def _densities(self) -> tuple[Density, Density] | None:
        """Returns the densities of the longest training with enough results; fits them again for every 1 percent more."""
        d = len(self._space)
        wanted = enough(d, self._published)
        level = next((i for i in reversed(range(len(self._budgets))) if len(self._results[i]) >= wanted), None)
        if level is None:
            return None
        results = self._results[level]
        version = (level, len(results) if len(results) < 200 else int(math.log(len(results)) * 100))
        if self._model is None or self._model[0] != version:
            good, bad = split(len(results), d, self._top, self._published)
            self._model = (version, self._fit(results.rows[:good]), self._fit(results.rows[-bad:]))
        return self._model[1], self._model[2]

    def _fit(self, rows: list[Vector]) -> Density:
        thinned = [rows[i * len(rows) // POINTS] for i in range(POINTS)] if len(rows) > POINTS else rows
        return Density.fit(np.array(thinned), self._options, self._narrowest)

    def _ranked(self, good: Density, bad: Density, rng: np.random.Generator) -> list[Config]:
        points = good.draw(rng, self._samples, self._factor)
        rates = self._rate(points, good, bad) - self.costs.at(points)
        return [self._space.decode(points[i]) for i in np.argsort(-rates, kind="stable")]

    def _rate(self, points: NDArray[np.float64], good: Density, bad: Density) -> Vector:
        """Returns the logarithms of good to bad density at points [m, d], or what they promise where costs count; shape [m]."""
        ratio = good.log_pdf(points) - bad.log_pdf(points)
        return improvement(ratio, self._top) if self.costs.count else ratio
