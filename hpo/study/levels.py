"""The levels of a stepped range of reals, exact in decimals: one float for each level, whatever computed it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

SLACK = Fraction(1, 10**9)  # of a step: what the rounding of low, high, step or a value may amount to
FINEST = 16  # spacings of floats: a step must be at least as large, so that rounding never reaches the next level


@dataclass(frozen=True)
class Levels:
    """The levels low, low + step, ... of a range: the floats nearest to their exact decimal values, none above `high`.

    A step that exceeds the range by rounding alone still reaches `high`: thirds of [0, 1] by 0.3333333334 are 4 levels.
    """

    low: float
    high: float
    step: float

    @cached_property
    def _exact(self) -> tuple[int, int, int]:
        """low and step as whole numbers of one denominator: (low, step, denominator)."""
        low, step = _decimal(self.low), _decimal(self.step)
        denominator = math.lcm(low.denominator, step.denominator)
        return int(low * denominator), int(step * denominator), denominator

    @cached_property
    def count(self) -> int:
        """The number of levels."""
        return math.floor((_decimal(self.high) - _decimal(self.low)) / _decimal(self.step) + SLACK) + 1

    @property
    def finest(self) -> float:
        """The smallest step that this range may have."""
        return FINEST * math.ulp(max(abs(self.low), abs(self.high)))

    def value(self, place: int) -> float:
        """Returns the level at a place, counted from 0."""
        low, step, denominator = self._exact
        return min(float(self.high), (low + place * step) / denominator)  # of two ints: rounded once, correctly

    def place(self, value: float) -> int:
        """Returns the place of the level nearest to a value; below 0 or beyond the last for values outside the range."""
        return round((value - self.low) / self.step)

    def nearest(self, value: float) -> float | None:
        """Returns the level that equals a value up to rounding; None if there is none."""
        if not self.low - self.step <= value <= self.high + self.step:
            return None
        level = self.value(min(self.count - 1, max(0, self.place(value))))
        slack = max(float(SLACK) * self.step, FINEST / 4 * math.ulp(max(abs(self.low), abs(self.high))))
        return level if abs(value - level) <= slack else None


def _decimal(number: float) -> Fraction:
    """Returns the decimal number that a float stands for: 0.1 is a tenth."""
    return Fraction(repr(float(number)))
