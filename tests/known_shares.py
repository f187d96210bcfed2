"""Functions over search spaces whose shares of the variance are known, for tests and benches of importance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpo.results.fanova import cells, waves
from hpo.results.shares import Axes, Shares, corrected_shares
from hpo.study.space import Choice, Config, Float, Int, SearchSpace

RATE = Float(1e-5, 1e-1, log=True)


def linear(u: np.ndarray) -> np.ndarray:
    return 4 * u[:, 0] + 3 * u[:, 1] + 2 * u[:, 2] + u[:, 3]


def ishigami(u: np.ndarray) -> np.ndarray:
    """Ishigami and Homma 1990 with a = 7, b = 0.1: shares 0.314, 0.442 and 0, and 0.244 for the pair of the first and last."""
    x = math.pi * (2 * u - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def product(u: np.ndarray) -> np.ndarray:
    return u[:, 0] * u[:, 1] * u[:, 2]


def mixed(u: np.ndarray) -> np.ndarray:
    """A choice of three that shifts the metric and damps the rate's optimum, and a whole number."""
    option, layers = np.floor(3 * u[:, 0]).astype(int), np.floor(6 * u[:, 1])
    damped = np.array([1.0, 0.3, 1.0])[option]
    return np.array([0.0, 1.0, 0.3])[option] + 0.15 * layers - 4 * damped * (u[:, 2] - 0.6) ** 2


def conditional(u: np.ndarray) -> np.ndarray:
    """A momentum that only the second optimizer has, and a rate."""
    return np.where(u[:, 0] >= 0.5, 1 - 6 * (u[:, 1] - 0.7) ** 2, 0.4) + 0.8 * u[:, 2]


def friedman(u: np.ndarray) -> np.ndarray:
    """Friedman 1991, without its fifth coordinate."""
    return 10 * np.sin(math.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2 + 10 * u[:, 3]


def cliff(u: np.ndarray) -> np.ndarray:
    """A rate that helps up to a point, above which everything fails; the others matter below it only."""
    return np.where(u[:, 0] > 0.8, 0.1, 0.5 + 0.4 * u[:, 0] - 0.8 * (u[:, 1] - 0.4) ** 2 * (1 + u[:, 2]))


def g_function(u: np.ndarray) -> np.ndarray:
    """Sobol's g-function with a = 0, 1, 4.5."""
    a = np.array([0.0, 1.0, 4.5])
    return np.asarray(((abs(4 * u[:, :3] - 2) + a) / (1 + a)).prod(axis=1))


def unit(count: int) -> SearchSpace:
    return SearchSpace({f"h{i}": Float(0.0, 1.0) for i in range(count)})


@dataclass(frozen=True)
class Known:
    """A function of the first `used` coordinates of the unit cube; `noise` is relative to its standard deviation."""

    function: Callable[[np.ndarray], np.ndarray]
    space: SearchSpace
    used: int

    @cached_property
    def table(self) -> np.ndarray:
        """The function on a grid of the cells of its coordinates, [cells] * used."""
        count = 24 if self.used > 3 else 120
        middles = (np.arange(count) + 0.5) / count
        mesh = np.stack([axis.ravel() for axis in np.meshgrid(*[middles] * self.used, indexing="ij")], axis=1)
        return self.function(mesh).reshape([count] * self.used)

    @cached_property
    def shares(self) -> dict[Axes, float]:
        """The true shares of all hyperparameters and pairs, 0 for those that the function does not use."""
        axes, size = range(len(self.space)), self.table.var()

        def alone(*kept: int) -> float:
            rest = tuple(axis for axis in range(self.used) if axis not in kept)
            return float(self.table.mean(axis=rest).var() / size)

        single: dict[Axes, float] = {(a,): alone(a) for a in axes}
        pairs: dict[Axes, float] = {
            (a, b): alone(a, b) - single[(a,)] - single[(b,)] for a, b in itertools.combinations(axes, 2)
        }
        return single | pairs

    def draw(self, trials: int, noise: float, seed: int) -> tuple[list[Config], np.ndarray]:
        """Draws trials as random search does."""
        rng = np.random.default_rng([seed, trials])
        configs: list[Config] = [self.space.sample(rng) for _ in range(trials)]
        return configs, self.values(configs, noise, rng)

    def search(self, trials: int, noise: float, seed: int) -> tuple[list[Config], np.ndarray]:
        """Draws a quarter of the trials at random, then four fifths of the others around the best tenth so far."""
        rng = np.random.default_rng([seed, trials])
        configs: list[Config] = [self.space.sample(rng) for _ in range(trials // 4)]
        while len(configs) < trials:
            points = self.places(configs)
            best = points[np.argsort(-self.function(points))[: max(3, len(points) // 10)]]
            for _ in range(max(1, trials // 8)):
                near = best[rng.integers(len(best))] + 0.15 * rng.normal(size=len(self.space))
                anywhere = rng.random(len(self.space)) < (1.0 if rng.random() < 0.2 else 0.15)
                configs.append(self.space.decode(np.where(anywhere, rng.random(len(self.space)), near).clip(0, 0.9999)))
        return configs[:trials], self.values(configs[:trials], noise, rng)

    def estimate(self, configs: list[Config], values: np.ndarray, seed: int) -> Shares:
        """Estimates the shares as `fanova` does, without the marginals that it also makes."""
        grid, counts = cells(self.space), waves(self.space)
        return corrected_shares(self.places(configs), values, self.active(configs), grid, counts, seed=seed)

    def active(self, configs: list[Config]) -> np.ndarray:
        return np.array([[name in config for name in self.space.names] for config in configs])

    def values(self, configs: list[Config], noise: float, rng: np.random.Generator) -> np.ndarray:
        return self.function(self.places(configs)) + noise * self.table.std() * rng.normal(size=len(configs))

    def places(self, configs: list[Config]) -> np.ndarray:
        return np.array([self.space.encode(config) for config in configs])


KNOWN = {
    "linear": Known(linear, unit(6), 4),
    "Ishigami": Known(ishigami, unit(3), 3),
    "product": Known(product, unit(6), 3),
    "mixed": Known(
        mixed,
        SearchSpace({"o": Choice(("a", "b", "c")), "l": Int(1, 6), "r": RATE, "d": Float(0, 0.5), "e": Float(0, 1)}),
        3,
    ),
    "conditional": Known(
        conditional,
        SearchSpace(
            {"o": Choice(("adam", "sgd")), "m": Float(0, 1), "r": RATE, "d": Float(0, 0.5), "e": Float(0, 1)},
            {"m": {"o": ("sgd",)}},
        ),
        3,
    ),
}

# Not looked at while the method was made and its constants were chosen.
HELD_OUT = {
    "Friedman": Known(friedman, unit(6), 4),
    "cliff": Known(cliff, unit(5), 3),
    "g": Known(g_function, unit(5), 3),
}
