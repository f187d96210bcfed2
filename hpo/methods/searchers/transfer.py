"""Search in the order that other tasks suggest, as long as the study's own results do not contradict it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.methods.prior.other_tasks import other_tasks
from hpo.methods.protocol import Setting
from hpo.methods.searchers.encoding import features
from hpo.methods.searchers.history import Seen, standing
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config, Vector
from hpo.study.values import digest

CANDIDATES = 1000  # draws of which the best expected one is suggested, where the space has no pool
SLOPE = 1.0, 1.0  # mean and deviation of b before any result
OFFSET = 0.3  # deviation of c
SCATTER = 0.05  # deviation of what is not known of a configuration: decides where the other tasks hardly do
NOISE = 0.25  # deviation of a standing around its expectation


class Transfer(Searching):
    """Suggests the configuration that results of other tasks let expect to stand best, see OtherTasks; or a random one.

    Whether the other tasks are like this one shows in the results: a configuration that should stand at m stands at
    c + b m + noise here, and b > 0 where they are. Each suggestion draws b from its posterior, and follows the other
    tasks if the draw is positive. So where their order is wrong, the search is soon random. `random_fraction` of the
    suggestions are random anyway: they show whether what is left out is better. Without other tasks, all are random.
    """

    expensive = True

    def __init__(self, setting: Setting, *, random_fraction: float = 0.2) -> None:
        super().__init__(setting, tag=0x7A5C, random_fraction=random_fraction)
        self._others = other_tasks(setting.space, setting.related)
        self._pool: Vector | None = None  # what is expected of each candidate [n]
        self._expected: dict[str, float] = {}  # of what was seen, by digest

    def propose(self, rng: np.random.Generator) -> Config | None:
        space = self.setting.space
        if self._others is None:
            return space.sample(rng)
        slope = self.slope(rng)
        if space.pool is not None:
            if self._pool is None:
                self._pool = self._others.predict(space.pool.features)
            rated = slope * self._pool + SCATTER * rng.standard_normal(len(space.pool))
            return self.history.best_open(rated[:, None], lambda rows: rows[:, 0])
        cubes = rng.random((CANDIDATES, len(space)))
        rated = slope * self._others.predict(features(space, cubes)) + SCATTER * rng.standard_normal(CANDIDATES)
        drawn = (space.decode(cubes[i]) for i in np.argsort(-rated, kind="stable"))
        return next((config for config in drawn if self.history.is_new(config)), None)

    def slope(self, rng: np.random.Generator) -> float:
        """Draws b from its posterior, normal as its prior is, given what was seen."""
        seen = self.history.seen()
        precision = np.diag([OFFSET**-2, SLOPE[1] ** -2])
        target = np.array([0.0, SLOPE[0] / SLOPE[1] ** 2])
        if seen:
            x = np.column_stack([np.ones(len(seen)), self._expectations(seen) - 0.5])
            precision = precision + x.T @ x / NOISE**2
            target = target + x.T @ (standing(seen) - 0.5) / NOISE**2
        covariance = np.linalg.inv(precision)
        return float((covariance @ target)[1] + np.sqrt(covariance[1, 1]) * rng.standard_normal())

    def _expectations(self, seen: list[Seen]) -> Vector:
        names = [digest(dict(s.config)) for s in seen]
        unknown = {name: s.config for name, s in zip(names, seen, strict=True) if name not in self._expected}
        if unknown:
            self._expected.update(zip(unknown, self._rate(list(unknown.values())).tolist(), strict=True))
        return np.array([self._expected[name] for name in names])

    def _rate(self, configs: Sequence[Config]) -> Vector:
        assert self._others is not None
        rows: NDArray[np.float64] = np.array([self.setting.space.features(config) for config in configs])
        return self._others.predict(rows)
