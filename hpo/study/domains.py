"""The domains of hyperparameters: ranges of reals, ranges of whole numbers, choices. Pure.

A domain maps its values to the unit interval and back. Every method searches the unit interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from hpo.errors import HpoError
from hpo.study.beliefs import Belief, InvalidBelief
from hpo.study.levels import FINEST, Levels
from hpo.text import cut, shown

Value: TypeAlias = float | int | str | bool


class InvalidSpace(HpoError):
    """A search space that contradicts itself, or a configuration outside it."""


def same(a: Value, b: Value) -> bool:
    """Compares two values; unlike Python's `==`, `True` is not 1."""
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
    if step is not None and math.isinf(step):
        raise InvalidSpace(f"step must be finite, but got step={step}")
    if log and step is not None:
        raise InvalidSpace(f"log and step exclude each other, but got (log=true, step={step})")


def _check_grid(domain: Float | Int | Choice, grid: Sequence[Value] | None) -> None:
    if grid is None:
        return
    if not grid:
        raise InvalidSpace("grid must name at least one value, but got an empty list")
    for value in grid:
        if not domain.contains(value):
            raise InvalidSpace(f"every grid value must lie in {domain.describe()}, but got {shown(value)}")
    for i, value in enumerate(grid):
        if any(same(value, other) for other in grid[:i]):
            raise InvalidSpace(f"grid values must differ, but got {shown(value)} twice")


def _believed(domain: Float | Int | Choice) -> None:
    """Makes what a domain's `prior` says a Belief. Raises InvalidSpace for what cannot hold in the domain."""
    if domain.prior is None:
        return
    try:
        belief = Belief.of(domain.prior)
        if isinstance(domain, Float):
            belief = replace(belief, value=domain.snap(belief.value))
        belief.check(domain.options if isinstance(domain, Choice) else None)
    except InvalidBelief as error:
        raise InvalidSpace(str(error)) from None
    if belief.weights is None and not domain.contains(belief.value):
        raise InvalidSpace(f"prior must lie in {domain.describe()}, but got {shown(belief.value)}")
    object.__setattr__(domain, "prior", belief)


@dataclass(frozen=True)
class Float:
    """A real hyperparameter in [low, high]; `log` spreads it evenly over magnitudes, `step` restricts it to low + k * step.

    Each level of a stepped range has one value, see Levels. Grid values that equal a level up to rounding become it.
    `prior`, here and in other domains: where the user believes good values to lie.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    grid: tuple[float, ...] | None = None
    prior: Belief | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)
        if self.levels is not None and self.low < self.high and self.levels.step < self.levels.finest:
            raise InvalidSpace(
                f"step must be at least {self.levels.finest:g}, {FINEST} spacings of floats near the range's ends, "
                f"but got step={self.step}"
            )
        if self.grid is not None:
            object.__setattr__(self, "grid", tuple(self.snap(value) for value in self.grid))
        _check_grid(self, self.grid)
        _believed(self)

    @cached_property
    def levels(self) -> Levels | None:
        """The values of a stepped range; None for a continuous one."""
        return None if self.step is None else Levels(self.low, self.high, self.step)

    def snap(self, value: Value) -> Value:
        """Returns the level that a value equals up to rounding (0.30000000000000004 is 0.3); other values unchanged."""
        if self.levels is None or isinstance(value, bool | str | None):
            return value
        level = self.levels.nearest(value)
        return value if level is None or level == value else level

    @property
    def size(self) -> float:
        """The number of distinct values; inf for a continuous range."""
        if self.low == self.high:
            return 1
        return math.inf if self.levels is None else self.levels.count

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]" + (f" by {self.step:g}" if self.step else "")

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool | str | None) or not self.low <= value <= self.high:
            return False
        return self.levels is None or self.levels.nearest(value) == value

    def decode(self, unit: float) -> float:
        """Returns the value at `unit` in [0, 1]."""
        unit = min(1.0, max(0.0, float(unit)))
        if self.levels is not None:
            count = self.levels.count
            return self.levels.value(min(count - 1, int(unit * count)))
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        # Twelve significant digits: the same value on every platform's libm, and readable in tables.
        return min(self.high, max(self.low, float(f"{value:.12g}")))

    def encode(self, value: Value) -> float:
        """Returns the place of `value` in [0, 1]; `decode(encode(v)) == v`, in a continuous range up to rounding."""
        number = float(value)
        if self.low == self.high:
            return 0.5
        if self.levels is not None:
            return (self.levels.place(number) + 0.5) / self.levels.count
        if self.log:
            return (math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (number - self.low) / (self.high - self.low)

    def values(self, points: int) -> tuple[Value, ...]:
        """Returns the values of `grid` if there is one, else `points` values spread evenly over the range, ends included."""
        if self.grid is not None:
            return tuple(self.grid)
        count = int(min(points, self.size))
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
    prior: Belief | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)
        _check_grid(self, self.grid)
        _believed(self)

    @property
    def size(self) -> float:
        """The number of distinct values."""
        return (self.high - self.low) // (self.step or 1) + 1

    def describe(self) -> str:
        return f"the whole numbers [{self.low}, {self.high}]" + (f" by {self.step}" if self.step else "")

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % (self.step or 1) == 0

    def decode(self, unit: float) -> int:
        """Returns the value at `unit` in [0, 1].

        Each value owns an interval, so that all values are equally likely (with `log`: all magnitudes).
        """
        unit = min(1.0, max(0.0, float(unit)))
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(self.high, max(self.low, round(math.exp(low + unit * (high - low)))))
        count = int(self.size)
        return self.low + min(count - 1, int(unit * count)) * (self.step or 1)

    def encode(self, value: Value) -> float:
        """Returns the middle of the interval of [0, 1] that decodes to `value`."""
        number = int(value)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(number) - low) / (high - low)
        return ((number - self.low) // (self.step or 1) + 0.5) / self.size

    def values(self, points: int) -> tuple[Value, ...]:
        """Returns the values of `grid` if there is one, else `points` values spread evenly over the range, ends included."""
        if self.grid is not None:
            return tuple(self.grid)
        count = int(min(points, self.size))
        if count <= 1:
            return (self.decode(0.5),)
        if count == self.size:
            return tuple(range(self.low, self.high + 1, self.step or 1))
        if not self.log:
            places = (round(k * (self.size - 1) / (count - 1)) for k in range(count))
            return tuple(dict.fromkeys(self.low + place * (self.step or 1) for place in places))
        return tuple(dict.fromkeys(self.decode(k / (count - 1)) for k in range(count)))


@dataclass(frozen=True)
class Choice:
    """A hyperparameter that takes one of the listed values.

    The order of the list means nothing, but numbers have an order of their own: a choice among numbers alone is `ordered`.
    """

    options: tuple[Value, ...]
    grid: tuple[Value, ...] | None = None
    prior: Belief | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.options:
            raise InvalidSpace("values must name at least one value, but got an empty list")
        for i, value in enumerate(self.options):
            if any(same(value, other) for other in self.options[:i]):
                raise InvalidSpace(f"values must differ, but got {shown(value)} twice")
        _check_grid(self, self.grid)
        _believed(self)

    @property
    def size(self) -> float:
        """The number of distinct values."""
        return len(self.options)

    def describe(self) -> str:
        return "{" + cut(", ".join(map(str, self.options)), 200) + "}"

    def contains(self, value: Value) -> bool:
        return any(same(value, option) for option in self.options)

    @cached_property
    def ordered(self) -> bool:
        """Whether all options are numbers."""
        return not any(isinstance(option, bool | str) for option in self.options)

    @cached_property
    def _places(self) -> dict[Value, float]:
        return {o: (i + 0.5) / len(self.options) for i, o in enumerate(sorted(self.options))}

    def place(self, value: Value) -> float:
        """Returns the place of an ordered choice's value among all by size, in [0, 1]."""
        return self._places[value]

    @cached_property
    def _indices(self) -> dict[tuple[bool, Value], int]:
        return {(isinstance(option, bool), option): i for i, option in enumerate(self.options)}

    def index(self, value: Value) -> int:
        return self._indices[isinstance(value, bool), value]

    def decode(self, unit: float) -> Value:
        """Returns the value whose interval of [0, 1] contains `unit`."""
        return self.options[min(len(self.options) - 1, max(0, int(unit * len(self.options))))]

    def encode(self, value: Value) -> float:
        """Returns the middle of the interval of [0, 1] that decodes to `value`."""
        return (self.index(value) + 0.5) / len(self.options)

    def values(self, points: int) -> tuple[Value, ...]:
        """Returns the values of `grid` if there is one, else all values, however few `points` asks for."""
        return tuple(self.grid) if self.grid is not None else self.options


Domain: TypeAlias = Float | Int | Choice
