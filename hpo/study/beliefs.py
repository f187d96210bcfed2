"""A user's belief about one hyperparameter: where good values lie, and how sure the user is. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import HpoError
from hpo.text import nearest, shown

DEVIATIONS = {"low": 0.5, "medium": 0.25, "high": 0.125}  # of a range's belief, in the unit interval
WEIGHTS = {"low": 2.0, "medium": 4.0, "high": 8.0}  # of a choice's believed value, where each other one has 1
_KEYS = ("value", "confidence", "weights")


class InvalidBelief(HpoError):
    """A belief that cannot hold; the message says what must hold and what was given."""


@dataclass(frozen=True)
class Belief:
    """The value that is believed to be good and how confident the user is, or weights of a choice's values in their order."""

    value: Any = None
    confidence: str = "medium"
    weights: tuple[float, ...] | None = None

    @classmethod
    def of(cls, given: Any) -> Belief:
        """Returns the belief that `prior` of a hyperparameter says. Raises InvalidBelief."""
        if isinstance(given, Belief):
            return given
        if not isinstance(given, Mapping):
            return cls(_scalar(given))
        for key in given:
            if key not in _KEYS:
                raise InvalidBelief(f"prior has no key {shown(key)}; {nearest(str(key), _KEYS)}")
        if ("value" in given) == ("weights" in given) or ("weights" in given and "confidence" in given):
            raise InvalidBelief(
                f"prior must have a value, and perhaps a confidence, or weights, but got {shown(given)}"
            )
        confidence = given.get("confidence", "medium")
        if confidence not in DEVIATIONS:
            raise InvalidBelief(f"confidence must be {', '.join(DEVIATIONS)}, but got {shown(confidence)}")
        if "weights" in given:
            return cls(weights=_weights(given["weights"]))
        return cls(_scalar(given["value"]), confidence)

    def check(self, options: Sequence[Any] | None) -> None:
        """Raises InvalidBelief for weights that do not fit a choice's `options`; None for a range, which has none."""
        if self.weights is None:
            return
        if options is None:
            raise InvalidBelief("prior must have a value, since only a choice can have weights")
        if len(self.weights) != len(options):
            raise InvalidBelief(
                f"weights must have one number for each of {len(options)} values, but got {shown(self.weights)}"
            )

    @property
    def entry(self) -> Any:
        """The belief as `prior` of a study file says it."""
        if self.weights is not None:
            return {"weights": list(self.weights)}
        return self.value if self.confidence == "medium" else {"value": self.value, "confidence": self.confidence}


def _scalar(given: Any) -> Any:
    if not isinstance(given, bool | int | float | str):
        raise InvalidBelief(f"prior must be a value, {{value, confidence}} or {{weights}}, but got {shown(given)}")
    return given


def _weights(given: Any) -> tuple[float, ...]:
    numbers = given if isinstance(given, list | tuple) else [given]
    if not all(
        isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < math.inf for n in numbers
    ) or not any(numbers):
        raise InvalidBelief(f"weights must be numbers >= 0, one of them above 0, but got {shown(given)}")
    return tuple(float(number) for number in numbers)
