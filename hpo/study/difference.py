"""The smallest difference that matters between methods: a number in the metric's unit, or a percentage. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpo.errors import StudyError
from hpo.text import shown


@dataclass(frozen=True)
class Difference:
    """`amount` is above 0; in percent of the methods' mean value if `percent`, otherwise in the metric's unit."""

    amount: float
    percent: bool = False

    @classmethod
    def parse(cls, given: float | str) -> Difference:
        """Reads 0.005 or "1 %". Raises StudyError unless it is a number above 0, or a percentage above 0."""
        text = str(given).strip()
        number = text.removesuffix("%").strip()
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount > 0):
            raise StudyError(
                f"difference must be a number above 0 in the metric's unit, or a percentage such as 1 %, but got {shown(given)}"
            )
        return cls(amount, text.endswith("%"))

    def of(self, mean: float) -> float:
        """Returns the difference in the metric's unit; `mean`: the methods' mean value."""
        return self.amount / 100 * abs(mean) if self.percent else self.amount

    def __str__(self) -> str:
        return f"{self.amount:g} %" if self.percent else f"{self.amount:g}"
