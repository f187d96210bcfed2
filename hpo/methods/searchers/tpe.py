"""The tree-structured Parzen estimator (Bergstra et al. 2011), over whole configurations or by hyperopt. Pure."""

from __future__ import annotations

import math

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers import hyperopt_tpe
from hpo.methods.searchers.costs import improvement
from hpo.methods.searchers.history import Seen, ranks
from hpo.methods.searchers.parzen import Matrix, Parzen, cubes
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config, Vector

GOOD = 25  # the most good configurations, as in hyperopt and Optuna


class Tpe(Searching):
    """Models good and bad configurations by densities l and g, and suggests the draw from l with the greatest l / g.

    Options: startup (random configurations first); gamma (the share of good ones) and candidates (n_EI_candidates), as in
    the paper; prior_weight (of the whole cube in either density); joint; random_fraction (the share of random ones after
    the first); cost_aware (whether costs count, see Costs; without `joint` only random ones are drawn by them). The
    densities are joint, so that hyperparameters that go together are drawn together; with `joint: false` the hyperopt
    library treats each alone, as the paper does.
    A running configuration counts with its value so far. One without a value counts as bad, so that parallel suggestions
    differ, and so does a failed one. So does one whose curve equals a better placed or earlier one's: it told nothing new,
    and among dozens of choices most changes of a good configuration are of that kind.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        startup: int = 10,
        gamma: float = 0.1,
        candidates: int = 24,
        prior_weight: float = 1.0,
        joint: bool = True,
        random_fraction: float = 0.0,
        cost_aware: bool | None = None,
    ) -> None:
        super().__init__(setting, tag=0x79E, random_fraction=random_fraction, cost_aware=cost_aware)
        self._startup = options.whole("startup", startup, 1)
        self._gamma = options.real("gamma", gamma, 1e-3, 1.0)
        self._candidates = options.whole("candidates", candidates, 1)
        self._prior_weight = options.real("prior_weight", prior_weight, 1e-3, 1e6)
        self._joint = options.flag("joint", joint)

    def propose(self, rng: np.random.Generator) -> Config | None:
        seen = self.history.seen()
        if len(seen) < self._startup:
            return self.history.sample(rng)
        return self._jointly(seen, rng) if self._joint else self._by_hyperopt(seen, rng)

    def _jointly(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        space = self.setting.space
        best, rest = self._split(seen)
        good = Parzen.fit(space, cubes(space, best), self._prior_weight)
        bad = Parzen.fit(space, cubes(space, rest + self.history.untouched()), self._prior_weight)
        if space.pool is not None:
            return self.history.best_open(space.pool.cubes, lambda cubes: self._rate(cubes, good, bad), self.costs.pool)
        points = good.draw(rng, self._candidates)
        rates = self._rate(points, good, bad) - self.costs.at(points)
        drawn = (space.decode(points[i]) for i in np.argsort(-rates, kind="stable"))
        return next((config for config in drawn if self.history.is_new(config)), None)

    def _rate(self, points: Matrix, good: Parzen, bad: Parzen) -> Vector:
        """Returns log(l / g) at points [n, d], or what it promises where costs count; shape [n]."""
        ratio = good.log_pdf(points) - bad.log_pdf(points)
        return improvement(ratio, self._gamma) if self.costs.count else ratio

    def _split(self, seen: list[Seen]) -> tuple[list[Config], list[Config]]:
        """Returns the good configurations, each with a curve of its own, and all others."""
        count = min(math.ceil(self._gamma * len(seen)), GOOD)
        best: list[Config] = []
        rest: list[Config] = []
        told: set[tuple[float, ...]] = set()
        for i in np.argsort(ranks(seen)):
            curve = tuple(seen[i].curve)
            (best if len(best) < count and curve not in told else rest).append(seen[i].config)
            told.add(curve)
        return best, rest

    def _by_hyperopt(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        """Asks hyperopt, whose share of good ones is gamma * sqrt(n) / n."""
        configs, places = [s.config for s in seen], ranks(seen)
        for _ in range(4):  # on small spaces hyperopt repeats itself
            config = hyperopt_tpe.suggest(
                self.setting.space, configs, places, int(rng.integers(2**31 - 1)),
                gamma=self._gamma, n_EI_candidates=self._candidates, prior_weight=self._prior_weight,
            )  # fmt: skip
            if self.history.is_new(config):
                return config
        return None
