"""Search spaces: what may be chosen, and the two encodings that searchers work in. Pure; no I/O."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.errors import HpoError

Value: TypeAlias = float | int | str | bool
Config: TypeAlias = Mapping[str, Value]
Condition: TypeAlias = Mapping[str, tuple[Value, ...]]
Vector: TypeAlias = NDArray[np.float64]


class InvalidSpace(HpoError):
    """A search space that contradicts itself, or a configuration that does not belong to it."""


def same(a: Value, b: Value) -> bool:
    """Equality of values without Python's `True == 1`."""
    return a == b and isinstance(a, bool) == isinstance(b, bool) and isinstance(a, str) == isinstance(b, str)


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InvalidSpace(f"low and high must be finite, but got (low={low}, high={high})")
    if not low <= high:
        raise InvalidSpace(f"low <= high must hold, but got (low={low}, high={high})")
    if log and not low > 0:
        raise InvalidSpace(f"low > 0 must hold where log is true, but got low={low}")
    if step is not None and not step > 0:
        raise InvalidSpace(f"step > 0 must hold, but got step={step}")
    if log and step is not None:
        raise InvalidSpace(f"log and step exclude each other, but got (log=true, step={step})")


def _check_grid(domain: Float | Int | Choice, grid: Sequence[Value] | None) -> None:
    if grid is None:
        return
    if not grid:
        raise InvalidSpace("grid must name at least one value, but got an empty list")
    for value in grid:
        if not domain.contains(value):
            raise InvalidSpace(f"every grid value must lie in {domain.describe()}, but got {value!r}")
    for i, value in enumerate(grid):
        if any(same(value, other) for other in grid[:i]):
            raise InvalidSpace(f"grid values must differ, but got {value!r} twice")


@dataclass(frozen=True)
class Float:
    """A real hyperparameter in [low, high]; `log` spreads it evenly over magnitudes, `step` rounds to low + k*step."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    grid: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)
        _check_grid(self, self.grid)

    @property
    def size(self) -> float:
        """How many distinct values there are; inf where the range is continuous."""
        if self.low == self.high:
            return 1
        return math.inf if self.step is None else math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"

    def contains(self, value: Value) -> bool:
        return isinstance(value, float | int) and not isinstance(value, bool) and self.low <= value <= self.high

    def decode(self, unit: float) -> float:
        """The value at `unit` in [0, 1]."""
        unit = min(1.0, max(0.0, float(unit)))
        if self.step is not None:
            count = int(self.size)
            return float(self.low + min(count - 1, int(unit * count)) * self.step)
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        # Twelve significant digits: the same value on every platform's libm, and readable in tables.
        return min(self.high, max(self.low, float(f"{value:.12g}")))

    def encode(self, value: Value) -> float:
        """The place of `value` in [0, 1]; `decode(encode(v)) == v` up to rounding."""
        number = float(value)
        if self.low == self.high:
            return 0.5
        if self.step is not None:
            return (round((number - self.low) / self.step) + 0.5) / self.size
        if self.log:
            return (math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (number - self.low) / (self.high - self.low)

    def values(self, points: int) -> tuple[Value, ...]:
        """`points` values spread evenly over the range, ends included; the grid's own values where it names them."""
        if self.grid is not None:
            return tuple(self.grid)
        count = int(min(points, self.size))
        if self.step is not None and count == self.size:
            return tuple(float(self.low + k * self.step) for k in range(count))
        if count <= 1:
            return (self.decode(0.5),)
        return tuple(dict.fromkeys(self.decode(k / (count - 1)) for k in range(count)))


@dataclass(frozen=True)
class Int:
    """A whole-number hyperparameter in {low, low + step, ..., high}; `log` spreads it evenly over magnitudes."""

    low: int
    high: int
    log: bool = False
    step: int | None = None
    grid: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)
        _check_grid(self, self.grid)

    @property
    def size(self) -> float:
        """How many distinct values there are."""
        return (self.high - self.low) // (self.step or 1) + 1

    def describe(self) -> str:
        return f"the whole numbers [{self.low}, {self.high}]" + (f" by {self.step}" if self.step else "")

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % (self.step or 1) == 0

    def decode(self, unit: float) -> int:
        """The value at `unit` in [0, 1]; each value owns an interval, so that all are equally likely (in log: by magnitude)."""
        unit = min(1.0, max(0.0, float(unit)))
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(self.high, max(self.low, round(math.exp(low + unit * (high - low)))))
        count = int(self.size)
        return self.low + min(count - 1, int(unit * count)) * (self.step or 1)

    def encode(self, value: Value) -> float:
        """The middle of the interval of [0, 1] that decodes to `value`."""
        number = int(value)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(number) - low) / (high - low)
        return ((number - self.low) // (self.step or 1) + 0.5) / self.size

    def values(self, points: int) -> tuple[Value, ...]:
        """`points` values spread evenly over the range, ends included; the grid's own values where it names them."""
        if self.grid is not None:
            return tuple(self.grid)
        count = int(min(points, self.size))
        if count <= 1:
            return (self.decode(0.5),)
        if not self.log:
            places = (round(k * (self.size - 1) / (count - 1)) for k in range(count))
            return tuple(dict.fromkeys(self.low + place * (self.step or 1) for place in places))
        return tuple(dict.fromkeys(self.decode(k / (count - 1)) for k in range(count)))


@dataclass(frozen=True)
class Choice:
    """A hyperparameter that takes one of the listed values, in no particular order."""

    options: tuple[Value, ...]
    grid: tuple[Value, ...] | None = None

    def __post_init__(self) -> None:
        if not self.options:
            raise InvalidSpace("values must name at least one value, but got an empty list")
        for i, value in enumerate(self.options):
            if any(same(value, other) for other in self.options[:i]):
                raise InvalidSpace(f"values must differ, but got {value!r} twice")
        _check_grid(self, self.grid)

    @property
    def size(self) -> float:
        """How many distinct values there are."""
        return len(self.options)

    def describe(self) -> str:
        return "{" + ", ".join(map(str, self.options)) + "}"

    def contains(self, value: Value) -> bool:
        return any(same(value, option) for option in self.options)

    def index(self, value: Value) -> int:
        return next(i for i, option in enumerate(self.options) if same(value, option))

    def decode(self, unit: float) -> Value:
        """The value that owns the interval of [0, 1] in which `unit` lies."""
        return self.options[min(len(self.options) - 1, max(0, int(unit * len(self.options))))]

    def encode(self, value: Value) -> float:
        """The middle of the interval of [0, 1] that decodes to `value`."""
        return (self.index(value) + 0.5) / len(self.options)

    def values(self, points: int) -> tuple[Value, ...]:
        """The grid's values where it names them, else all; `points` does not thin them."""
        return tuple(self.grid) if self.grid is not None else self.options


Domain: TypeAlias = Float | Int | Choice


class SearchSpace:
    """Hyperparameters by name, some of them conditional on others' values.

    A condition maps a parent's name to the parent's values for which the hyperparameter exists; all its parents
    must match. Names keep the order in which they were given, parents before children.

    Two encodings, both in [0, 1]:
    - cube: one coordinate a hyperparameter, shape [len(space)] (for sampling, evolution, interpolation);
    - features: a choice takes one coordinate an option (one-hot), shape [space.width] (for surrogate models).
    Coordinates of inactive hyperparameters are 0.5 in the cube; in the features 0.5, and 0 for a choice's options.
    """

    def __init__(self, domains: Mapping[str, Domain], conditions: Mapping[str, Condition] | None = None) -> None:
        conditions = dict(conditions or {})
        for name, condition in conditions.items():
            _check_condition(name, condition, domains)
        self.domains: dict[str, Domain] = {name: domains[name] for name in _parents_first(domains, conditions)}
        self.conditions: dict[str, Condition] = {n: conditions[n] for n in self.domains if n in conditions}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.domains)

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def width(self) -> int:
        """The number of coordinates of the features encoding."""
        return sum(len(d.options) if isinstance(d, Choice) else 1 for d in self.domains.values())

    def active(self, name: str, config: Config) -> bool:
        """Whether `name` exists in a configuration whose earlier hyperparameters are those of `config`."""
        return all(
            parent in config and any(same(config[parent], value) for value in values)
            for parent, values in self.conditions.get(name, {}).items()
        )

    def decode(self, cube: Sequence[float] | Vector) -> dict[str, Value]:
        """The configuration at a point of the unit cube, shape [len(space)]."""
        config: dict[str, Value] = {}
        for (name, domain), unit in zip(self.domains.items(), cube, strict=True):
            if self.active(name, config):
                config[name] = domain.decode(float(unit))
        return config

    def encode(self, config: Config) -> Vector:
        """The configuration's point in the unit cube, shape [len(space)]."""
        return np.array([d.encode(config[n]) if n in config else 0.5 for n, d in self.domains.items()])

    def features(self, config: Config) -> Vector:
        """The configuration as surrogate models see it, choices one-hot; shape [width]."""
        row: list[float] = []
        for name, domain in self.domains.items():
            if isinstance(domain, Choice):
                chosen = domain.index(config[name]) if name in config else -1
                row.extend(1.0 if i == chosen else 0.0 for i in range(len(domain.options)))
            else:
                row.append(domain.encode(config[name]) if name in config else 0.5)
        return np.array(row)

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """One configuration, uniform in the unit cube."""
        return self.decode(rng.random(len(self)))

    def grid(self, points: int = 5) -> list[dict[str, Value]]:
        """Every combination of the hyperparameters' grid values (`points` a range where none are named), each once."""
        configs: list[dict[str, Value]] = [{}]
        for name, domain in self.domains.items():
            values = domain.values(points)
            configs = [
                {**config, **extra}
                for config in configs
                for extra in ([{name: value} for value in values] if self.active(name, config) else [{}])
            ]
        return configs

    @property
    def size(self) -> float:
        """How many distinct configurations there are; inf where a range is continuous."""
        if not self.conditions:
            return math.prod(d.size for d in self.domains.values())
        if any(math.isinf(d.size) for d in self.domains.values()):
            return math.inf
        roots = {parent for condition in self.conditions.values() for parent in condition} | set(self.conditions)
        free = math.prod(d.size for n, d in self.domains.items() if n not in roots)
        linked = [n for n in self.domains if n in roots]
        if math.prod(self.domains[n].size for n in linked) > 1e6:
            return math.inf  # too many to count one by one; callers only ask whether the space is small
        part = SearchSpace({n: self.domains[n] for n in linked}, self.conditions)
        return free * len(part.grid(points=1_000_000))

    def check(self, config: Config) -> None:
        """Raises InvalidSpace where `config` is not a configuration of this space."""
        for name in config:
            if name not in self.domains:
                raise InvalidSpace(f"a configuration may hold only {', '.join(self.names)}, but got {name!r}")
        for name, domain in self.domains.items():
            if not self.active(name, config):
                if name in config:
                    needs = " and ".join(f"{p} in {list(v)}" for p, v in self.conditions[name].items())
                    raise InvalidSpace(f"{name} exists only where {needs}, but got {name}={config[name]!r}")
            elif name not in config:
                raise InvalidSpace(f"a configuration must give {name} a value, but got none")
            elif not domain.contains(config[name]):
                raise InvalidSpace(f"{name} must lie in {domain.describe()}, but got {config[name]!r}")

    def __contains__(self, config: object) -> bool:
        try:
            self.check(config)  # type: ignore[arg-type]
        except (InvalidSpace, TypeError):
            return False
        return True


def _check_condition(name: str, condition: Condition, domains: Mapping[str, Domain]) -> None:
    for parent, values in condition.items():
        if parent not in domains:
            raise InvalidSpace(f"{name} must depend on a hyperparameter of the space, but got {parent!r}")
        if not values:
            raise InvalidSpace(f"{name} must name the values of {parent} for which it exists, but got none")
        for value in values:
            if not domains[parent].contains(value):
                raise InvalidSpace(
                    f"{name} must depend on values of {parent} in {domains[parent].describe()}, but got {value!r}"
                )


def _parents_first(domains: Mapping[str, Domain], conditions: Mapping[str, Condition]) -> list[str]:
    """The names in their given order, except that parents come before their children."""
    ordered: list[str] = []
    left = list(domains)
    while left:
        ready = next((n for n in left if all(p in ordered for p in conditions.get(n, {}))), None)
        if ready is None:
            raise InvalidSpace(f"conditions must not form a circle, but {', '.join(left)} depend on each other")
        ordered.append(ready)
        left.remove(ready)
    return ordered


def combinations(space: SearchSpace, points: int = 5) -> int:
    """How many points the grid has, without conditions being resolved one by one where there are none."""
    if not space.conditions:
        return math.prod(len(d.values(points)) for d in space.domains.values())
    return len(space.grid(points))


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every unordered pair of names once, in order."""
    return list(itertools.combinations(names, 2))
