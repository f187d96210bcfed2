"""Grid search: every combination of the grid values, in an order whose prefixes cover the space. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers.orders import Drawn, Shuffled, Spread
from hpo.study.combinations import Combinations
from hpo.study.space import Config, Pool
from hpo.study.values import digest

SPREAD = 4096  # grids of at most this size are ordered by distance
LISTED = 2**20  # larger grids, of at most this size, by a random permutation; beyond it each next point is drawn


class Grid:
    """Suggests the grid's points, farthest first: each next point has the greatest distance to those before it.

    Grids of more than 4096 points come in a random order instead, of more than 2^20 point by point as they are needed:
    no grid is too large. Ends after the last point. Points that earlier results trained to R come last. Option points:
    how many values a range has where the study names no grid values.
    """

    oblivious = True
    expensive = False

    def __init__(self, setting: Setting, *, points: int = 5) -> None:
        self._grid = setting.space.grid(options.whole("points", points, 1))
        self._order = _order(setting, self._grid)
        self._given = {digest(dict(config)): config for config in setting.start}
        self._start = deque(self._given.values())
        self._known = {digest(dict(o.config)) for o in setting.prior if o.epoch >= setting.max_epochs}
        self._last: deque[Config] = deque()

    def suggest(self) -> Config | None:
        if self._start:
            return self._start.popleft()
        for number in self._order:
            config = self._grid[number]
            name = digest(config)
            if name in self._given:
                continue
            if name not in self._known:
                return config
            self._last.append(config)
        return self._last.popleft() if self._last else None

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Learns nothing."""

    def fail(self, config: Config) -> None:
        """Learns nothing."""

    def close(self, config: Config) -> None:
        """Learns nothing."""


def _order(setting: Setting, grid: Combinations | Pool) -> Iterator[int]:
    """Returns the numbers of the grid's points in the order in which they are suggested."""
    rng = np.random.default_rng([setting.seed, 0x6121D])
    if grid.total > LISTED:
        return Drawn(grid.total, rng)
    numbers = rng.permutation(grid.total)
    if grid.total > SPREAD:
        return Shuffled(numbers)
    points = [setting.space.features(config, ordered=False) for config in grid]  # an order that stored studies rely on
    return Spread(np.array(points), numbers)
