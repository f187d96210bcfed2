"""What earlier results of other tasks tell of a space's configurations. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.methods.searchers.history import Record, Seen, standing
from hpo.study.space import Choice, Config, Domain, SearchSpace, Value, Vector, same
from hpo.study.values import Observation, digest

Matrix = NDArray[np.float64]

TREES = 100
LEAST = 2  # configurations in a leaf
SHARE = 1 / 3  # of the features that a split chooses from


class OtherTasks:
    """Expects a configuration to stand among others as the ones like it did on other tasks.

    Values of different tasks do not compare. So each configuration counts with its standing: the share of its own task's
    configurations that it was better than, see `standing`. Every task has the same weight, however many configurations it
    tried. A forest of random trees learns the standing from the configurations as this space sees them, see `row`.
    """

    def __init__(self, space: SearchSpace, observations: Sequence[Observation]) -> None:
        self._space = space
        self._observations = observations

    @cached_property
    def _examples(self) -> tuple[Matrix, Vector, Vector]:
        """Returns the configurations' rows [n, width], their standings [n] and their weights [n], task by task."""
        tasks: dict[str, dict[str, Record]] = {}
        for o in self._observations:
            found = tasks.setdefault(str(o.task), {})
            found.setdefault(digest(dict(o.config)), Record(o.config)).add(o.epoch, o.value)
        rows: list[list[float]] = []
        stands: list[float] = []
        weights: list[float] = []
        for records in tasks.values():
            seen = [Seen(record.config, record.curve, record.failed) for record in records.values()]
            rows.extend(row(self._space, s.config) for s in seen)
            stands.extend(standing(seen))
            weights.extend([1.0 / len(seen)] * len(seen))
        return np.array(rows), np.array(stands), np.array(weights) * len(weights) / len(tasks)

    @cached_property
    def _trees(self) -> list[Any]:
        from sklearn.ensemble import (
            ExtraTreesRegressor,
        )  # a second, which studies without other tasks need not wait for

        forest = ExtraTreesRegressor(TREES, min_samples_leaf=LEAST, max_features=SHARE, random_state=0)
        rows, stands, weights = self._examples
        return [tree.tree_ for tree in forest.fit(rows, stands, sample_weight=weights).estimators_]

    def predict(self, rows: Matrix) -> Vector:
        """Returns the expected standing, in [0, 1], of configurations with these features [n, space.width]."""
        single = np.ascontiguousarray(
            rows, dtype=np.float32
        )  # what the trees compare; the forest itself asks in threads
        return np.asarray(np.mean([tree.predict(single)[:, 0] for tree in self._trees], axis=0))


def other_tasks(space: SearchSpace, observations: Sequence[Observation]) -> OtherTasks | None:
    """Returns the model of these observations, learned once for all runs over the space; None without observations."""
    return _known(_Identity(space, observations)) if observations else None


class _Identity:
    """A space and observations, equal where they are the same objects: their contents are long to compare."""

    def __init__(self, space: SearchSpace, observations: Sequence[Observation]) -> None:
        self.space, self.observations = space, observations
        self._ids = (id(space), *map(id, observations))

    def __hash__(self) -> int:
        return hash(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._ids == other._ids


@lru_cache(maxsize=8)
def _known(key: _Identity) -> OtherTasks:
    return OtherTasks(key.space, key.observations)


def row(space: SearchSpace, config: Config) -> list[float]:
    """Returns another space's configuration as surrogates of this space see it; shape [space.width].

    Hyperparameters are matched by name; those that this space does not have are left out. A number outside the range
    counts as the nearest end. What is missing, or has a value of another kind, counts as inactive, see SearchSpace.
    """
    return [unit for name, domain in space.domains.items() for unit in _units(domain, config.get(name))]


def _units(domain: Domain, value: Value | None) -> list[float]:
    if isinstance(domain, Choice) and not domain.ordered:
        return [float(value is not None and same(value, option)) for option in domain.options]
    if isinstance(value, bool | str | None):
        return [0.5]
    if isinstance(domain, Choice):
        levels = sorted(float(option) for option in domain.options)
        return [float(np.interp(value, levels, [domain.place(level) for level in levels]))]
    return [domain.encode(min(max(value, domain.low), domain.high))]
