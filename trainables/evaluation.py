"""Measuring a model on a split: loss, accuracy, macro precision, recall and F1, and the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.feed import Feed, Source
from trainables.measures import confusion, measures


@dataclass(frozen=True)
class Evaluation:
    """Measures the feed's network. The loss is cross-entropy, in which no hyperparameter of the trial has a part.

    `class_weights` [K] are the task's, the same for all trials: the loss is then the weighted mean.
    """

    feed: Feed
    class_weights: Tensor | None

    @torch.no_grad()
    def of(self, source: Source) -> tuple[dict[str, float], Tensor]:
        """Returns the metrics of a split and its confusion matrix [K, K], rows the true classes; over all ranks."""
        feed, shard, device = self.feed, self.feed.shard, self.feed.machine.device
        feed.network.model.eval()
        labels = shard.take(source.labels)
        mine = shard.take(torch.arange(len(source.labels), device=device))
        total = torch.zeros((), device=device)
        predicted = torch.zeros_like(labels)
        size = feed.rows_at_a_time(source.boundary)
        for first in range(0, len(mine), size):
            rows = slice(first, first + size)
            with feed.machine.autocast():
                logits = source.section(feed.rows(source, mine[rows])).float()
            total += cross_entropy(logits, labels[rows], self.class_weights, reduction="sum")
            predicted[rows] = logits.argmax(1)
        matrix = confusion(labels, predicted, len(feed.dataset.classes))
        shard.sum([total, matrix])
        whole = len(source.labels) if self.class_weights is None else float(self.class_weights[source.labels].sum())
        return {"loss": float(total) / whole, **measures(matrix)}, matrix
