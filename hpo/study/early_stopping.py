"""Early stopping: a rule over a trial's own curve, part of its training. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training when `metric` has not improved for `patience` epochs in a row (paper 000: val_loss, patience 10)."""

    patience: int
    metric: str
    mode: str

    def ended(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Reports whether training ends after the last epoch of `history`, the metrics of epochs 1..n."""
        sign = 1.0 if self.mode == "max" else -1.0
        best, since = -math.inf, 0
        for metrics in history:
            value = sign * float(metrics.get(self.metric, math.nan))
            best, since = (value, 0) if value > best else (best, since + 1)
        return since >= self.patience
