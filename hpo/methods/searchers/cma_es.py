"""Covariance matrix adaptation (Hansen and Ostermeier 2001) over the unit cube, by the cmaes library. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers.history import ranks
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config, Vector
from hpo.study.values import digest


class CmaEs(Searching):
    """Samples generations of `population` points; decoding a point settles its choices and conditions.

    Options: population; sigma (the first step size in the unit cube); cost_aware (whether one of several points is drawn
    by their costs, see Costs). While a whole generation is out, further suggestions are drawn from the same distribution
    and count towards the next generation. With earlier results, the first distribution is
    fitted to their best tenth (Nomura et al. 2021).
    """

    def __init__(
        self, setting: Setting, *, population: int | None = None, sigma: float = 0.3, cost_aware: bool | None = None
    ) -> None:
        super().__init__(setting, tag=0xC3AE5, cost_aware=cost_aware)
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
            return self.history.sample(rng)  # the library needs two coordinates
        engine = self._distribution()
        engine.reseed_rng(int(rng.integers(2**31)))  # the library drops its generator where it is copied
        for _ in range(20):
            points = [engine.ask() for _ in range(self.costs.draws)]
            drawn = [(self.setting.space.decode(point), point) for point in points]
            if new := [(config, point) for config, point in drawn if self.history.is_new(config)]:
                config, point = new[self.costs.pick(rng, [config for config, _ in new])]
                self._points[digest(dict(config))] = point
                return config
        return None

    def _distribution(self) -> Any:
        if self._engine is None:
            from cmaes import CMA, get_warm_start_mgd

            encode, width = self.setting.space.encode, len(self.setting.space)
            mean = encode(self.setting.start[0]) if self.setting.start else np.full(width, 0.5)
            sigma, covariance = self._sigma, None
            known = [s for s in self.history.seen() if not s.failed] if self.setting.prior else []
            if known:
                placed = [(encode(s.config), float(place)) for s, place in zip(known, ranks(known), strict=True)]
                mean, sigma, covariance = get_warm_start_mgd(placed, gamma=max(0.1, 1 / len(placed)))
            bounds = np.tile([0.0, 1.0], (width, 1))
            self._engine = CMA(mean, sigma, bounds, population_size=self._size, cov=covariance)
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
