"""The values that a metric can take, by its name or by the study, so that intervals stay among them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Vector = NDArray[np.float64]

SHARES = frozenset({
    "accuracy", "acc", "f1", "precision", "recall", "sensitivity", "specificity", "auc", "auroc", "auprc", "iou", "dice",
})  # fmt: skip
CORRELATIONS = frozenset({"kappa", "mcc"})


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest possible value of a metric; infinite where there is none."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def of_difference(self) -> Bounds:
        """The bounds of a difference of two values."""
        return Bounds(self.low - self.high, self.high - self.low) if self.known else Bounds()

    @property
    def known(self) -> bool:
        """Whether both bounds are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def around(self, mean: Vector, margin: Vector) -> tuple[Vector, Vector]:
        """Returns mean -/+ margin [...], taken on a scale on which the bounds are infinitely far: (low [...], high [...]).

        The scale is the logit between two bounds and the logarithm of the distance to a single one; the margin is
        carried over by its derivative at the mean (delta method). The mean itself, where it lies on a bound.
        """
        if self.known:
            width = self.high - self.low
            share = (mean - self.low) / width
            inside = (share > 0) & (share < 1)
            safe = np.where(inside, share, 0.5)
            # A mean next to a bound has an interval from bound to bound: beyond 700, expit is 0 or 1.
            turn = np.minimum(margin / width, 700.0 * safe * (1 - safe)) / (safe * (1 - safe))
            ends = [self.low + width * special.expit(special.logit(safe) + side * turn) for side in (-1, 1)]
            return np.where(inside, ends[0], mean), np.where(inside, ends[1], mean)
        if math.isfinite(self.low):
            return self.low + _scaled(mean - self.low, -margin), self.low + _scaled(mean - self.low, margin)
        if math.isfinite(self.high):
            return self.high - _scaled(self.high - mean, margin), self.high - _scaled(self.high - mean, -margin)
        return mean - margin, mean + margin

    def clip(self, values: Vector) -> Vector:
        """Returns the values, moved to the nearest bound if they lie beyond it."""
        return np.asarray(np.clip(values, self.low, self.high))

    def kept(self, values: Iterable[float]) -> Bounds:
        """Returns the bounds without those that a value breaks."""
        seen = [value for value in values if math.isfinite(value)]
        low = self.low if all(value >= self.low for value in seen) else -math.inf
        return Bounds(low, self.high if all(value <= self.high for value in seen) else math.inf)


UNBOUNDED = Bounds()


def _scaled(distance: Vector, margin: Vector) -> Vector:
    safe = np.where(distance > 0, distance, 1.0)
    return np.where(distance > 0, distance * np.exp(np.clip(margin, -700.0 * safe, 700.0 * safe) / safe), distance)


def metric_bounds(definition: Mapping[str, Any], values: Iterable[float]) -> Bounds:
    """Returns the bounds of a study's metric, given the values seen; a value beyond a bound shows that it is none.

    The study's key `bounds` decides. Without it the metric's name does: accuracy, precision, recall, F1 and other shares
    lie in [0, 1], or in [0, 100] if a value exceeds 1; kappa and MCC in [-1, 1]; R2 is at most 1; a loss or an error is
    at least 0.
    """
    seen = [value for value in values if math.isfinite(value)]
    given = definition.get("bounds")
    if isinstance(given, list) and len(given) == 2:
        low, high = given
        return Bounds(-math.inf if low is None else float(low), math.inf if high is None else float(high)).kept(seen)
    return _named(str(definition["metric"]).lower(), max(seen, default=0.0)).kept(seen)


def _named(metric: str, largest: float) -> Bounds:
    words = set(re.split(r"[^a-z0-9]+", metric))
    if "loss" in metric or "error" in metric:
        return Bounds(low=0.0)
    if words & SHARES:
        return Bounds(0.0, 1.0 if largest <= 1 else 100.0)
    if words & CORRELATIONS:
        return Bounds(-1.0, 1.0)
    return Bounds(high=1.0) if "r2" in words else Bounds()
