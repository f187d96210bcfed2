"""Random search (Bergstra and Bengio 2012): independent configurations, uniform in the unit cube. Pure."""

from __future__ import annotations

import numpy as np

from hpo.methods.protocol import Setting
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config


class RandomSearch(Searching):
    """Draws uniformly in each hyperparameter's own scale; no configuration comes twice."""

    oblivious = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, tag=0x2A)

    def propose(self, rng: np.random.Generator) -> Config | None:
        return self.setting.space.sample(rng)
