"""Quasi-random search: scrambled Sobol and Halton points (scipy.stats.qmc), which cover the cube evenly. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import qmc

from hpo.methods.protocol import Setting
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config

BLOCK = 64  # points drawn at a time; a power of two keeps the balance of Sobol's sequence


class _Sequence(Searching):
    """Suggests the points of a sequence of scipy.stats.qmc in order, those that are new."""

    oblivious = True

    def __init__(self, setting: Setting, tag: int, engine: Any) -> None:
        super().__init__(setting, tag)
        self._engine = engine
        self._points: list[Any] = []

    def propose(self, rng: np.random.Generator) -> Config | None:
        for _ in range(BLOCK):
            if not self._points:
                self._points = list(self._engine.random(BLOCK)[::-1])
            config = self.setting.space.decode(self._points.pop())
            if self.history.is_new(config):
                return config
        return None


class Sobol(_Sequence):
    """Sobol's sequence with Owen scrambling."""

    def __init__(self, setting: Setting) -> None:
        engine = qmc.Sobol(len(setting.space), scramble=True, rng=np.random.default_rng([setting.seed, 0x50B01]))
        super().__init__(setting, 0x50B01, engine)


class Halton(_Sequence):
    """Halton's sequence, scrambled."""

    def __init__(self, setting: Setting) -> None:
        engine = qmc.Halton(len(setting.space), scramble=True, rng=np.random.default_rng([setting.seed, 0x4A170]))
        super().__init__(setting, 0x4A170, engine)
