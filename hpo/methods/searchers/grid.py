"""Grid search: every combination of the grid values, in an order whose prefixes cover the space. Pure."""

from __future__ import annotations

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.study.space import Config
from hpo.study.values import digest

SPREAD = 4096  # grids of at most this size are ordered by distance, larger ones by a random permutation


class Grid:
    """Suggests the grid's points, farthest first: each next point has the greatest distance to those before it.

    Ends after the last point. Points that earlier results trained to R come last. Option points: how many values a range
    has where the study names no grid values.
    """

    oblivious = True
    expensive = False

    def __init__(self, setting: Setting, *, points: int = 5) -> None:
        configs = setting.space.grid(options.whole("points", points, 1))
        order = _farthest_first(np.array([setting.space.features(c) for c in configs]), setting.seed)
        known = {digest(dict(o.config)) for o in setting.prior if o.epoch >= setting.max_epochs}
        ordered = sorted((configs[i] for i in order), key=lambda config: digest(dict(config)) in known)
        listed = [*setting.start, *ordered]
        self._left = list({digest(dict(config)): config for config in listed}.values())[::-1]

    def suggest(self) -> Config | None:
        return self._left.pop() if self._left else None

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Learns nothing."""

    def fail(self, config: Config) -> None:
        """Learns nothing."""

    def close(self, config: Config) -> None:
        """Learns nothing."""


def _farthest_first(points: np.ndarray[tuple[int, int], np.dtype[np.float64]], seed: int) -> list[int]:
    """Returns the indices of points [n, d] in such an order that each maximises the least distance to its predecessors.

    The seed draws the first point, and which of equally far ones comes next.
    """
    rng = np.random.default_rng([seed, 0x6121D])
    shuffled = rng.permutation(len(points))
    if len(points) > SPREAD:
        return [int(i) for i in shuffled]
    points = points[shuffled]
    nearest = np.full(len(points), np.inf)
    order = []
    here = 0
    for _ in range(len(points)):
        order.append(int(shuffled[here]))
        nearest = np.minimum(nearest, ((points - points[here]) ** 2).sum(axis=1))
        nearest[here] = -1.0
        here = int(nearest.argmax())
    return order
