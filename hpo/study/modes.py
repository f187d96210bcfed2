"""Whether a metric is better when it is larger or smaller, by its name. Pure."""

from __future__ import annotations

import re
from typing import Literal

from hpo.text import meant, shown

LARGER = frozenset({
    "accuracy", "acc", "f1", "precision", "recall", "sensitivity", "specificity", "auc", "auroc", "auprc", "iou", "dice",
    "kappa", "mcc", "r2", "bleu", "rouge",
})  # fmt: skip

Mode = Literal["min", "max"]


def mode_of(metric: str) -> Mode | None:
    """Returns min for names that say loss or error, max for names like accuracy; None where the name does not tell."""
    name = metric.lower()
    if "loss" in name or "error" in name:
        return "min"
    return "max" if LARGER & set(re.split(r"[^a-z0-9]+", name)) else None


def unknown(metric: str, key: str = "mode") -> str:
    """Returns the sentence that asks for the mode of a metric whose name does not tell it."""
    usual = sorted(f"{part}{name}" for part in ("val_", "") for name in (*LARGER, "loss", "error"))
    near = meant(metric, usual, likeness=0.85)
    return f"{key} must be min or max, because the metric's name {shown(metric)} does not tell which is better{near}"
