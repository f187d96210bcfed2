"""The search space: domains by name, conditions between them, and the two encodings that searchers work in. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.study.combinations import Combinations, Condition, Config, Family, active
from hpo.study.domains import Choice, Domain, Float, Int, InvalidSpace, Value, same
from hpo.study.pool import Pool
from hpo.text import shown

__all__ = [
    "Choice",
    "Condition",
    "Config",
    "Domain",
    "Float",
    "Int",
    "InvalidSpace",
    "Pool",
    "SearchSpace",
    "Value",
    "Vector",
    "combinations",
    "pairs",
    "same",
]

Vector: TypeAlias = NDArray[np.float64]


class SearchSpace:
    """Hyperparameters by name; some exist only for certain values of others.

    A condition maps each parent's name to the parent's values for which the hyperparameter exists; all parents must
    match. Names keep the order in which they were given, except that parents come before their children.

    There are two encodings, both in [0, 1]:
    - cube: one coordinate per hyperparameter, shape [len(space)] (for sampling, evolution, interpolation);
    - features: one coordinate per range or ordered choice and one per option of another choice (one-hot), shape
      [space.width] (for surrogate models).
    An inactive hyperparameter is 0.5 in the cube; in the features an inactive range is 0.5, an inactive choice all 0.

    With a `pool`, only its configurations belong to the space: samples are drawn from it, points of the cube decode to
    the nearest one, and the grid lists it. What lies in the domains but not in the pool still fits, see `fits`.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        conditions: Mapping[str, Condition] | None = None,
        pool: Sequence[Config] | None = None,
    ) -> None:
        conditions = dict(conditions or {})
        for name, condition in conditions.items():
            _check_condition(name, condition, domains)
        self.domains: dict[str, Domain] = {name: domains[name] for name in _parents_first(domains, conditions)}
        self.conditions: dict[str, Condition] = {
            n: {parent: tuple(_snap(domains[parent], v) for v in values) for parent, values in conditions[n].items()}
            for n in self.domains
            if n in conditions
        }
        for config in pool or ():
            self.fits(config)
        self.pool = None if pool is None else Pool(self, pool)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.domains)

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def width(self) -> int:
        """The number of coordinates of the features encoding."""
        return sum(len(d.options) if isinstance(d, Choice) and not d.ordered else 1 for d in self.domains.values())

    def active(self, name: str, config: Config) -> bool:
        """Reports whether `name` exists in a configuration; `config` must hold the hyperparameters before it."""
        return active(self.conditions.get(name, {}), config)

    def decode(self, cube: Sequence[float] | Vector) -> dict[str, Value]:
        """Returns the configuration at a point of the unit cube, shape [len(space)]; with a pool, the nearest candidate."""
        config: dict[str, Value] = {}
        for (name, domain), unit in zip(self.domains.items(), cube, strict=True):
            if self.active(name, config):
                config[name] = domain.decode(float(unit))
        return self.nearest(config)

    def nearest(self, config: Config) -> dict[str, Value]:
        """Returns the candidate nearest to a configuration that fits; without a pool, the configuration itself."""
        return dict(config if self.pool is None else self.pool[self.pool.nearest(config)])

    def encode(self, config: Config) -> Vector:
        """Returns the configuration's point in the unit cube, shape [len(space)]."""
        return np.array([d.encode(config[n]) if n in config else 0.5 for n, d in self.domains.items()])

    def features(self, config: Config, *, ordered: bool = True) -> Vector:
        """Returns the configuration as surrogate models see it; shape [width]. Not `ordered`: every choice one-hot."""
        row: list[float] = []
        for name, domain in self.domains.items():
            if ordered and isinstance(domain, Choice) and domain.ordered:
                row.append(domain.place(config[name]) if name in config else 0.5)
            elif isinstance(domain, Choice):
                chosen = domain.index(config[name]) if name in config else -1
                row.extend(1.0 if i == chosen else 0.0 for i in range(len(domain.options)))
            else:
                row.append(domain.encode(config[name]) if name in config else 0.5)
        return np.array(row)

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """Draws one configuration, uniformly from the unit cube or from the pool."""
        if self.pool is not None:
            return dict(self.pool[int(rng.integers(len(self.pool)))])
        return self.decode(rng.random(len(self)))

    def grid(self, points: int = 5) -> Combinations | Pool:
        """Returns every combination of grid values once; a range without grid values takes `points` of them.

        With a pool, returns the pool.
        """
        if self.pool is not None:
            return self.pool
        return Combinations({name: domain.values(points) for name, domain in self.domains.items()}, self.conditions)

    @property
    def size(self) -> float:
        """The number of distinct configurations; inf where a range is continuous."""
        if self.pool is not None:
            return len(self.pool)
        if any(math.isinf(d.size) for d in self.domains.values()):
            return math.inf
        family = Family(self.names, self.conditions)
        return family.count({name: family.grouped_size(name, int(d.size)) for name, d in self.domains.items()})

    @property
    def stepped(self) -> bool:
        """Whether a range of reals has steps."""
        return any(isinstance(d, Float) and d.step is not None for d in self.domains.values())

    def snap(self, config: Config) -> dict[str, Value]:
        """Returns a configuration with the exact levels of stepped ranges where its values equal them up to rounding.

        Values that others computed, or older versions stored, need it: 0.1 * 3 is not 0.3.
        """
        return {n: _snap(self.domains[n], v) if n in self.domains else v for n, v in config.items()}

    def check(self, config: Config) -> None:
        """Raises InvalidSpace if `config` is not a configuration of this space."""
        self.fits(config)
        if self.pool is not None and dict(config) not in self.pool:
            raise InvalidSpace(
                f"a configuration must be one of the {len(self.pool)} candidates, but got {shown(config)}"
            )

    def fits(self, config: Config) -> None:
        """Raises InvalidSpace if `config` has a value outside its domain, lacks one, or has one that does not exist."""
        for name in config:
            if name not in self.domains:
                raise InvalidSpace(f"a configuration may contain only {', '.join(self.names)}, but got {shown(name)}")
        for name, domain in self.domains.items():
            if not self.active(name, config):
                if name in config:
                    needs = " and ".join(f"{p} in {list(v)}" for p, v in self.conditions[name].items())
                    raise InvalidSpace(f"{name} exists only where {needs}, but got {name}={shown(config[name])}")
            elif name not in config:
                raise InvalidSpace(f"a configuration must give {name} a value, but gives none")
            elif not domain.contains(config[name]):
                raise InvalidSpace(f"{name} must lie in {domain.describe()}, but got {shown(config[name])}")

    def __contains__(self, config: object) -> bool:
        try:
            self.check(config)  # type: ignore[arg-type]
        except (InvalidSpace, TypeError):
            return False
        return True


def _check_condition(name: str, condition: Condition, domains: Mapping[str, Domain]) -> None:
    for parent, values in condition.items():
        if parent not in domains:
            raise InvalidSpace(f"{name} must depend on a hyperparameter of the space, but got {shown(parent)}")
        if not values:
            raise InvalidSpace(f"{name} must name the values of {parent} for which it exists, but names none")
        for value in values:
            if not domains[parent].contains(_snap(domains[parent], value)):
                raise InvalidSpace(
                    f"{name} must depend on values of {parent} in {domains[parent].describe()}, but got {shown(value)}"
                )


def _parents_first(domains: Mapping[str, Domain], conditions: Mapping[str, Condition]) -> list[str]:
    """Returns the names in the given order, except that parents come before their children."""
    ordered: list[str] = []
    left = list(domains)
    while left:
        ready = next((n for n in left if all(p in ordered for p in conditions.get(n, {}))), None)
        if ready is None:
            raise InvalidSpace(f"conditions must not form a cycle, but {', '.join(left)} depend on each other")
        ordered.append(ready)
        left.remove(ready)
    return ordered


def _snap(domain: Domain, value: Value) -> Value:
    return domain.snap(value) if isinstance(domain, Float) else value


def combinations(space: SearchSpace, points: int = 5) -> int:
    """Counts the grid's points, without listing them."""
    return space.grid(points).total


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Returns every unordered pair of names once, in order."""
    return list(itertools.combinations(names, 2))
