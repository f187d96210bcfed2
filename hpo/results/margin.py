"""The margin of a comparison: the smallest difference between methods that matters, named or by default. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.errors import HpoError
from hpo.results.statistics import Vector
from hpo.study.difference import Difference
from hpo.study.modes import mode_of

POINT = Difference(0.01)  # the difference that people ask about: one point of accuracy


class DifferentMargins(HpoError):
    """Studies that name different differences."""


@dataclass(frozen=True)
class Margin:
    """`difference` is None if nobody named it and the metric has no default. `named`: by a study or the command."""

    difference: Difference | None
    named: bool = False

    def of(self, values: Vector) -> float | None:
        """Returns the margin in the metric's unit, for values [blocks, methods]; None if it is unknown or zero."""
        known = values[np.isfinite(values)]
        if self.difference is None or not known.size:
            return None
        return self.difference.of(float(known.mean())) or None


def margin(
    given: float | str | None, stored: Iterable[float | str | None], metric: str, mode: str, values: Sequence[float]
) -> Margin:
    """Returns the margin: as `given`, otherwise as the studies name it, otherwise 0.01 for accuracies in [0, 1].

    `values`: the runs' values, NaN for none. Raises StudyError for what is no difference, DifferentMargins if the studies
    name several.
    """
    named = [given] if given is not None else [one for one in stored if one is not None]
    found = list(dict.fromkeys(map(Difference.parse, named)))
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise DifferentMargins(
            f"studies must name the same difference to be compared, but got {listed}; name one with --difference"
        )
    if found:
        return Margin(found[0], named=True)
    accuracy = mode == "max" == mode_of(metric) and all(0 <= value <= 1 for value in values if math.isfinite(value))
    return Margin(POINT if accuracy else None)
