"""The frame of searchers with a memory: start configurations first, own random generators, nothing suggested twice. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import numpy as np

from hpo.methods.protocol import Setting
from hpo.methods.searchers.history import History
from hpo.study.space import Config


class Searching(ABC):
    """Subclasses propose configurations; the frame keeps the memory and prevents repeated suggestions.

    `tag` tells the random streams of different searchers with the same seed apart.
    """

    oblivious = False
    expensive = False

    def __init__(self, setting: Setting, tag: int) -> None:
        self.setting = setting
        self.history = History(setting)
        self._tag = tag
        self._count = 0

    @final
    def suggest(self) -> Config | None:
        config = self.history.next_start()
        if config is not None:
            return config
        rng = np.random.default_rng([self.setting.seed, self._tag, self._count])
        self._count += 1
        proposed = self.propose(rng)
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
