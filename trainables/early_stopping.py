"""Early stopping: a rule over a trial's own curve, part of its training. Pure; workers and trainables share it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.text import meant, shown
from trainables.errors import BadStudy
from trainables.task import Task


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training when `metric` has not improved for `patience` epochs in a row (paper 000: val_loss, patience 10)."""

    patience: int
    metric: str
    mode: str

    @classmethod
    def of(cls, task: Task) -> EarlyStopping | None:
        """Returns the task's rule; None where it has none."""
        return cls(**task.early_stopping) if task.early_stopping else None

    def value(self, metrics: Mapping[str, float]) -> float:
        """Returns an epoch's value of the metric, oriented so that larger is better. Raises BadStudy if it is missing."""
        if self.metric not in metrics:
            raise BadStudy(
                ("early_stopping", "metric"),
                f"early_stopping.metric must be a metric that the trainable reports ({', '.join(sorted(metrics))}), "
                f"but got {shown(self.metric)}{meant(self.metric, metrics)}",
            )
        return float(metrics[self.metric]) if self.mode == "max" else -float(metrics[self.metric])

    def ended(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Reports whether training ends after the last epoch of `history`, the metrics of epochs 1..n.

        Raises BadStudy for the first epoch that lacks the metric.
        """
        best, since = -math.inf, 0
        for metrics in history:
            value = self.value(metrics)
            best, since = (value, 0) if value > best else (best, since + 1)
        return since >= self.patience
