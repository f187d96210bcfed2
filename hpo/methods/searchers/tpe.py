"""The tree-structured Parzen estimator (Bergstra et al. 2011), over whole configurations at once or by hyperopt. Pure."""

from __future__ import annotations

import math

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers import hyperopt_tpe
from hpo.methods.searchers.history import Seen, ranks
from hpo.methods.searchers.parzen import Parzen, cubes
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config

GOOD = 25  # good configurations at the most, as in hyperopt and Optuna


class Tpe(Searching):
    """Models good and bad configurations by densities l and g, and takes the draw from l with the greatest l / g.

    Symbols of the paper: gamma (the share of good ones), n_EI_candidates = candidates; startup: random ones first;
    prior_weight: of the whole cube in either density. The densities are joint ones, so that hyperparameters that go
    together are drawn together; with `joint: false` the hyperopt library treats each by itself, as the paper does.
    What still runs is judged by what it gave so far; what gave nothing yet counts as bad, so that parallel suggestions
    differ, and so do failures.
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
    ) -> None:
        super().__init__(setting, tag=0x79E)
        self._startup = options.whole("startup", startup, 1)
        self._gamma = options.real("gamma", gamma, 1e-3, 1.0)
        self._candidates = options.whole("candidates", candidates, 1)
        self._prior_weight = options.real("prior_weight", prior_weight, 1e-3, 1e6)
        self._joint = options.flag("joint", joint)

    def propose(self, rng: np.random.Generator) -> Config | None:
        seen = self.history.seen()
        if len(seen) < self._startup:
            return self.setting.space.sample(rng)
        return self._jointly(seen, rng) if self._joint else self._by_hyperopt(seen, rng)

    def _jointly(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        space = self.setting.space
        count = min(math.ceil(self._gamma * len(seen)), GOOD)
        rows = cubes(space, [seen[i].config for i in np.argsort(ranks(seen))])
        good = Parzen.fit(space, rows[:count], self._prior_weight)
        bad = Parzen.fit(space, np.vstack([rows[count:], cubes(space, self.history.untouched())]), self._prior_weight)
        points = good.draw(rng, self._candidates)
        ratio = good.log_pdf(points) - bad.log_pdf(points)
        drawn = (space.decode(points[i]) for i in np.argsort(-ratio, kind="stable"))
        return next((config for config in drawn if self.history.is_new(config)), None)

    def _by_hyperopt(self, seen: list[Seen], rng: np.random.Generator) -> Config | None:
        """Its share of good ones is gamma * sqrt(n) / n."""
        configs, places = [s.config for s in seen], ranks(seen)
        for _ in range(4):  # on small spaces it repeats itself
            config = hyperopt_tpe.suggest(
                self.setting.space, configs, places, int(rng.integers(2**31 - 1)),
                gamma=self._gamma, n_EI_candidates=self._candidates, prior_weight=self._prior_weight,
            )  # fmt: skip
            if self.history.is_new(config):
                return config
        return None
