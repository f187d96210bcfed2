"""Grid search: every combination of the grid values, in an order whose prefixes cover the space. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.study.combinations import Combinations
from hpo.study.space import Config, Vector
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
        grid = setting.space.grid(options.whole("points", points, 1))
        self._left = _each_once(setting, grid, _order(setting, grid))

    def suggest(self) -> Config | None:
        return next(self._left, None)

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Learns nothing."""

    def fail(self, config: Config) -> None:
        """Learns nothing."""

    def close(self, config: Config) -> None:
        """Learns nothing."""


def _each_once(setting: Setting, grid: Combinations, order: Iterable[int]) -> Iterator[Config]:
    """Yields the start configurations, then the grid's points in this order, none twice."""
    known = {digest(dict(o.config)) for o in setting.prior if o.epoch >= setting.max_epochs}
    start = {digest(dict(config)): config for config in setting.start}
    yield from start.values()
    last: list[Config] = []
    for number in order:
        config = grid[number]
        name = digest(config)
        if name in known and name not in start:
            last.append(config)
        elif name not in start:
            yield config
    yield from last


def _order(setting: Setting, grid: Combinations) -> Iterable[int]:
    """Returns the numbers of all points in the order in which they are suggested."""
    rng = np.random.default_rng([setting.seed, 0x6121D])
    if grid.total > LISTED:
        return _drawn(grid.total, rng)
    shuffled = rng.permutation(grid.total)
    if grid.total > SPREAD:
        return map(int, shuffled)
    points = np.array([setting.space.features(config) for config in grid])
    return [int(shuffled[place]) for place in _farthest_first(points[shuffled])]


def _drawn(total: int, rng: np.random.Generator) -> Iterator[int]:
    """Yields the numbers below `total` in a random order, each when it is asked for."""
    seen: set[int] = set()
    length = total.bit_length() // 8 + 8  # eight bytes more than needed: the remainder's bias is below 2^-56
    while len(seen) < total:
        number = int.from_bytes(rng.bytes(length), "little") % total
        if number not in seen:
            seen.add(number)
            yield number


def _farthest_first(points: Vector) -> list[int]:
    """Returns the indices of points [n, d] in such an order that each maximises the least distance to its predecessors.

    The first point comes first; of equally far ones, the earlier.
    """
    nearest = np.full(len(points), np.inf)
    order = []
    here = 0
    for _ in range(len(points)):
        order.append(here)
        nearest = np.minimum(nearest, ((points - points[here]) ** 2).sum(axis=1))
        nearest[here] = -1.0
        here = int(nearest.argmax())
    return order
