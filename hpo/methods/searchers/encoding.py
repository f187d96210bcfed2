"""Features of many points of the unit cube at once, for surrogates that rate thousands of candidates. Pure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpo.study.space import Choice, Condition, Float, Int, SearchSpace, Vector, same

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


def features(space: SearchSpace, cubes: Matrix) -> Matrix:
    """Returns features [n, space.width] of cubes [n, len(space)]; row i is `space.features(space.decode(cubes[i]))`.

    Spaces with a pool have no free points: rank `space.pool.features` instead.
    """
    columns: list[Matrix] = []
    exists: dict[str, Mask] = {}
    for name, domain, units in zip(space.names, space.domains.values(), cubes.T, strict=True):
        here = exists[name] = _active(space, space.conditions.get(name, {}), cubes, exists)
        if isinstance(domain, Choice) and domain.ordered:
            places = np.array([domain.place(option) for option in domain.options])
            columns.append(np.where(here, places[_index(domain, units)], 0.5)[:, None])
        elif isinstance(domain, Choice):
            columns.append((_index(domain, units)[:, None] == np.arange(len(domain.options))) & here[:, None])
        else:
            columns.append(np.where(here, _snapped(domain, units), 0.5)[:, None])
    return np.hstack(columns).astype(float)


def _active(space: SearchSpace, condition: Condition, cubes: Matrix, exists: dict[str, Mask]) -> Mask:
    """Returns in which rows a hyperparameter with this condition exists; shape [n]."""
    here = np.ones(len(cubes), dtype=bool)
    for parent, values in condition.items():
        domain, units = space.domains[parent], cubes[:, space.names.index(parent)]
        if isinstance(domain, Choice):
            match = np.isin(_index(domain, units), [domain.index(value) for value in values])
        else:
            match = np.zeros(len(cubes), dtype=bool)
            for value in values:
                near = np.flatnonzero(np.abs(_snapped(domain, units) - domain.encode(value)) < 1e-9)
                match[near] |= np.array([same(domain.decode(unit), value) for unit in units[near]], dtype=bool)
        here &= exists[parent] & match
    return here


def _index(domain: Choice, units: Vector) -> NDArray[np.int64]:
    """Returns the indices of the options that `decode` gives at the units."""
    return np.minimum(len(domain.options) - 1, (units * len(domain.options)).astype(np.int64))


def _snapped(domain: Float | Int, units: Vector) -> Vector:
    """Returns `encode(decode(unit))` for each unit: the middle of its value's interval."""
    if isinstance(domain, Float) and domain.low == domain.high:
        return np.full(len(units), 0.5)
    if math.isinf(domain.size):
        return units
    if isinstance(domain, Int) and domain.log:
        low, high = math.log(domain.low - 0.5), math.log(domain.high + 0.5)
        values = np.clip(np.round(np.exp(low + units * (high - low))), domain.low, domain.high)
        return np.asarray((np.log(values) - low) / (high - low))
    count = int(domain.size)
    return np.asarray((np.minimum(count - 1, (units * count).astype(np.int64)) + 0.5) / count)


def groups(space: SearchSpace) -> list[int]:
    """Returns the number of the hyperparameter that each coordinate of the features belongs to; shape [space.width]."""
    widths = [len(d.options) if isinstance(d, Choice) and not d.ordered else 1 for d in space.domains.values()]
    return [number for number, width in enumerate(widths) for _ in range(width)]
