"""Measuring a model on a split: loss, accuracy, macro precision, recall and F1, and the confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.batches import moved
from trainables.feed import Feed, Source
from trainables.graphs import Pool, Recorded
from trainables.hooks import Hooks
from trainables.measures import confusion, measures


class Evaluation:
    """Measures the feed's network on a source. The loss is cross-entropy, in which no hyperparameter of the trial has a part.

    `class_weights` [K] are the task's, the same for all trials: the loss is then the weighted mean. On a GPU with a `pool`
    the passes run as CUDA graphs. `hooks` may add metrics. The caller has put the network into evaluation mode.
    """

    def __init__(
        self,
        feed: Feed,
        source: Source,
        class_weights: Tensor | None,
        pool: Pool | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._feed, self._source, self._class_weights = feed, source, class_weights
        self._hooks = hooks or Hooks()
        count, device = len(source.labels), feed.machine.device
        self._mine = feed.shard.take(torch.arange(count))
        self._there = moved(self._mine, device)
        self._loss = torch.zeros((), device=device)
        self._predicted = torch.zeros(count, dtype=torch.int64, device=device)
        classes = len(feed.dataset.classes) if self._hooks.metrics else 0
        self._logits = torch.zeros(count, classes, device=device)  # [N, K] where a hook measures them
        self._pass = Recorded(self._measure, device, pool)

    @torch.no_grad()
    def measure(self) -> tuple[dict[str, float], Tensor]:
        """Returns the metrics of the split and its confusion matrix [K, K], rows the true classes; over all ranks."""
        feed, source = self._feed, self._source
        self._loss.zero_()
        self._logits.zero_()
        size = feed.rows_at_a_time(source.boundary)
        for rows, there in zip(self._mine.split(size), self._there.split(size), strict=True):
            self._pass(there, *feed.staged(source, rows))
        mine = self._there
        matrix = confusion(source.labels[mine], self._predicted[mine], len(feed.dataset.classes))
        feed.shard.sum([self._loss, matrix])
        weights = self._class_weights
        whole = len(source.labels) if weights is None else float(weights[source.labels].sum())
        found = {"loss": float(self._loss) / whole, **measures(matrix)}
        if self._hooks.metrics:
            feed.shard.sum([self._logits])
            found |= self._hooks.measured(self._logits, source.labels)
        return found, matrix

    def _measure(self, rows: Tensor, given: Tensor | None = None) -> None:
        with self._feed.machine.autocast():
            logits = self._source.section(self._feed.inputs(self._source, rows, given)).float()
        labels = self._source.labels[rows]
        self._loss += cross_entropy(logits, labels, self._class_weights, reduction="sum")
        self._predicted[rows] = logits.argmax(1)
        if self._hooks.metrics:
            self._logits[rows] = logits
