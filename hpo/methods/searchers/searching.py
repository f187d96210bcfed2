"""The frame of searchers with a memory: start configurations first, own random generators, nothing suggested twice. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers.costs import Costs
from hpo.methods.searchers.history import History
from hpo.study.space import Config


class Searching(ABC):
    """Subclasses propose configurations; the frame keeps the memory and prevents repeated suggestions.

    `tag` tells the random streams of different searchers with the same seed apart. `random_fraction`: the share of
    suggestions that are random, whatever was learned. `cost_aware`: whether costs count, see Costs.
    """

    oblivious = False
    expensive = False

    def __init__(
        self, setting: Setting, tag: int, random_fraction: float = 0.0, cost_aware: bool | None = False
    ) -> None:
        self.setting = setting
        self.costs = Costs(setting, options.aware(cost_aware))
        self.history = History(setting, self.costs)
        self._tag = tag
        self._random = options.real("random_fraction", random_fraction, 0.0, 1.0)
        self._count = 0

    @final
    def suggest(self) -> Config | None:
        config = self.history.next_start()
        if config is not None:
            return config
        rng = np.random.default_rng([self.setting.seed, self._tag, self._count])
        self._count += 1
        explores = self._random > 0 and rng.random() < self._random
        proposed = None if explores else self.propose(rng)
        if proposed is not None and self.history.is_new(proposed):
            return self.history.take(proposed)
        return self.history.fresh(rng)

    @abstractmethod
    def propose(self, rng: np.random.Generator) -> Config | None:
        """Proposes a configuration; the frame replaces None, or one that is not new, by a random new one."""

    def observe(self, config: Config, epoch: int, value: float) -> None:
        self.history.observe(config, epoch, value)

    def fail(self, config: Config) -> None:
        self.history.fail(config)

    def close(self, config: Config) -> None:
        self.history.close(config)
