"""Covariance matrix adaptation (Hansen and Ostermeier 2001) by the cmaes library, over the unit cube. Pure."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searching import Searching
from hpo.space import Config, Vector
from hpo.trial import digest


class CmaEs(Searching):
    """Generations of `population` points; choices and conditions take part by decoding the point.

    sigma: the first step size in the unit cube. Where the whole generation is out and not yet back, the next
    suggestions are drawn from the same distribution and count towards the next generation.
    """

    def __init__(self, setting: Setting, *, population: int | None = None, sigma: float = 0.3) -> None:
        super().__init__(setting, tag=0xC3AE5)
        width = len(setting.space)
        size = 4 + int(3 * np.log(max(width, 2))) if population is None else options.whole("population", population, 4)
        self._sigma = options.real("sigma", sigma, 1e-6, 10.0)
        self._size = size
        self._best: dict[str, float] = {}
        self._points: dict[str, Vector] = {}
        self._results: list[tuple[Vector, float]] = []
        self._engine: Any = None

    def propose(self, rng: np.random.Generator) -> Config | None:
        if len(self.setting.space) < 2:
            return self.setting.space.sample(rng)  # the library needs two coordinates
        engine = self._distribution()
        for _ in range(20):
            point = engine.ask()
            config = self.setting.space.decode(point)
            if self.history.is_new(config):
                self._points[digest(dict(config))] = point
                return config
        return None

    def _distribution(self) -> Any:
        if self._engine is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from cmaes import CMA

                width = len(self.setting.space)
                mean = self.setting.space.encode(self.setting.start[0]) if self.setting.start else np.full(width, 0.5)
                bounds = np.tile([0.0, 1.0], (width, 1))
                seed = int(np.random.default_rng([self.setting.seed, self._tag]).integers(2**31))
                self._engine = CMA(mean, self._sigma, bounds, seed=seed, population_size=self._size)
        return self._engine

    def observe(self, config: Config, epoch: int, value: float) -> None:
        super().observe(config, epoch, value)
        name = digest(dict(config))
        self._best[name] = max(value, self._best.get(name, -np.inf))

    def close(self, config: Config) -> None:
        super().close(config)
        self._tell(digest(dict(config)))

    def fail(self, config: Config) -> None:
        super().fail(config)
        name = digest(dict(config))
        self._best[name] = min((-loss for _, loss in self._results), default=0.0)
        self._tell(name)

    def _tell(self, name: str) -> None:
        point, best = self._points.pop(name, None), self._best.pop(name, None)
        if point is None or best is None:
            return
        self._results.append((point, -best))
        if len(self._results) >= self._size:
            generation, self._results = self._results[: self._size], self._results[self._size :]
            self._engine.tell(generation)
