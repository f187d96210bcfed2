"""What an epoch of a configuration costs, as searchers count it: improvement per cost, and draws by cost. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpo.methods.protocol import Setting
from hpo.study.space import Config, Vector

Matrix = NDArray[np.float64]

DRAWN = 8  # random configurations of which one is taken, where there is no pool to weigh as a whole


class Costs:
    """The logarithms of what an epoch costs; 0 for a searcher that does not count it.

    A candidate counts by its improvement per cost (Snoek, Larochelle and Adams 2012, section 3.2): the logarithm of what
    it promises loses that of its cost. What is drawn by chance is drawn in inverse proportion to its cost, so that every
    candidate is expected to take the same part of the budget; a uniform draw spends most of it on the dearest few.

    `aware`: whether costs count, where they are known; None: where the budget is in cost.
    """

    def __init__(self, setting: Setting, aware: bool | None) -> None:
        self._space = setting.space
        counts = setting.budget_in_cost if aware is None else aware
        self._cost = setting.epoch_cost if counts else None

    @property
    def count(self) -> bool:
        """Whether costs count here."""
        return self._cost is not None

    @property
    def draws(self) -> int:
        """How many configurations should be drawn for `pick` to take one."""
        return DRAWN if self.count else 1

    def pick(self, rng: np.random.Generator, configs: Sequence[Config]) -> int:
        """Returns the number of one of the configurations, drawn in inverse proportion to its cost; 0 without costs."""
        return self.weighed(rng, self.logs(configs)) if self.count else 0

    def weighed(self, rng: np.random.Generator, logs: Vector) -> int:
        """Draws a number below n in inverse proportion to costs, given their logarithms [n]."""
        return int(np.argmax(rng.gumbel(size=len(logs)) - logs))

    def logs(self, configs: Sequence[Config]) -> Vector:
        """Returns the logarithm of each configuration's cost; 0 for one that cannot be a cost; shape [n]."""
        return np.array([self._log(config) for config in configs])

    def at(self, cubes: Matrix) -> Vector:
        """Returns the same of points of the cube [n, len(space)]; shape [n]."""
        return self.logs([self._space.decode(cube) for cube in cubes]) if self.count else np.zeros(len(cubes))

    @cached_property
    def pool(self) -> Vector:
        """The same of the pool's candidates; shape [n]."""
        return self.logs(self._space.pool or ())

    def _log(self, config: Config) -> float:
        cost = 1.0 if self._cost is None else self._cost(config)
        return math.log(cost) if 0 < cost < math.inf else 0.0


def improvement(ratio: Vector, good: float) -> Vector:
    """Returns logarithms of expected improvements, up to a constant, from those of l / g [n] (Bergstra et al. 2011, section 4.1).

    `good`: the share gamma of good configurations. Grows with the ratio, but to 1 / gamma at most.

    >>> np.exp(improvement(np.array([-50.0, 0.0, 50.0]), 0.25)).round(3).tolist()
    [0.0, 1.0, 4.0]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-np.logaddexp(np.log(good), np.log1p(-good) - ratio))
