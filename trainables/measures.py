"""Classification metrics from a confusion matrix. Pure."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Returns int64 [classes, classes], rows the true classes, columns the predicted ones; labels are int64 [N]."""
    counts = torch.zeros(classes * classes, dtype=torch.int64, device=labels.device)
    # bincount would make the CPU wait for a GPU, to learn the largest value.
    counts.scatter_add_(0, labels * classes + predicted, torch.ones_like(labels))
    return counts.reshape(classes, classes)


def measures(matrix: Tensor) -> dict[str, float]:
    """Returns accuracy, and macro precision, recall and F1 over the classes among labels or predictions.

    A class that is never predicted has precision 0; a class that is predicted but never occurs has recall 0.
    """
    counts = matrix.cpu().double()
    hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    seen = (true + predicted) > 0
    precision, recall = hits / predicted.clamp(min=1), hits / true.clamp(min=1)
    f1 = 2 * hits / (true + predicted).clamp(min=1)
    values = {"accuracy": hits.sum() / counts.sum().clamp(min=1)}
    values |= {name: value[seen].mean() for name, value in (("precision", precision), ("recall", recall), ("f1", f1))}
    return {name: float(value) for name, value in values.items()}
