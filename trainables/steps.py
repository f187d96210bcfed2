"""The training steps of one stage: each leads global batches forward and back, and their gradient through the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.draws import Draws
from trainables.feed import Feed, Source
from trainables.graphs import Pool, Recorded
from trainables.hooks import Hooks
from trainables.mixing import before
from trainables.settings import Settings
from trainables.trained_part import TrainedPart


class Steps:
    """Trains `part` on `source`. `loss`, summed over samples, and `predicted` [samples] are those since `begin`.

    They are this rank's, for the caller to add. On a GPU with a `pool` the steps run as CUDA graphs. `batch_size` is that of
    all batches but a last, smaller one, which is not compiled: it would be another shape to compile for.
    """

    def __init__(
        self,
        feed: Feed,
        source: Source,
        part: TrainedPart,
        settings: Settings,
        class_weights: Tensor | None,
        hooks: Hooks | None = None,
        *,
        batch_size: int = 0,
        pool: Pool | None = None,
    ) -> None:
        self._feed, self._source, self._part = feed, source, part
        self._settings, self._class_weights, self._hooks = settings, class_weights, hooks or Hooks()
        device = feed.machine.device
        self._shard = feed.shard
        self.labels = source.labels.repeat(feed.copies)
        self.loss = torch.zeros((), device=device)
        self.predicted = torch.zeros_like(self.labels)
        self._batch_size = batch_size
        self._compiled: Any = source.section
        if settings.compile and batch_size:
            self._compiled = torch.compile(source.section)
        self._step = Recorded(self._take, device, pool)

    def begin(self) -> None:
        """Starts an epoch."""
        self.loss.zero_()
        self.predicted.zero_()

    def take(self, batches: Sequence[Tensor], there: Sequence[Tensor], draws: Draws, first: int) -> None:
        """Takes a step on global batches of sample numbers, of which the first is the epoch's batch `first`.

        `batches` are on the CPU, `there` are the same on the device. The step's loss is the mean over all their samples.
        """
        given: list[Tensor] = []
        for number, (batch, moved) in enumerate(zip(batches, there, strict=True), first):
            given += [moved, *self._feed.fetched(self._source, batch, moved, draws, number)]
        self._step(*given)

    def _take(self, *given: Tensor) -> None:
        self._part.optimizer.zero_grad(set_to_none=True)  # before the passes: their activations take the room
        width = 1 + self._feed.fetches(self._source)
        batches = given[::width]
        samples, whole = sum(map(len, batches)), self._whole(batches)
        for start in range(0, len(given), width):
            self._back(samples, whole, *given[start : start + width])
        self._shard.sum(p.grad for p in self._part.parameters)
        if self._settings.clip_norm:
            nn.utils.clip_grad_norm_(self._part.parameters, self._settings.clip_norm)
        self._part.optimizer.step()
        if self._part.averages:
            self._part.averages.update()

    def _back(self, samples: int, whole: int | Tensor, batch: Tensor, *given: Tensor) -> None:
        """Adds one global batch's part of the step's gradient."""
        rows = self._shard.take(batch)
        self._shard.total = len(batch)
        section = self._compiled if len(batch) == self._batch_size else self._source.section
        weights = self._part.merged()
        with self._feed.machine.autocast():
            logits = self._part.logits(section, self._feed.inputs(self._source, rows, *given), weights)
        loss = self._loss(logits.float(), batch, given) / whole
        loss.backward()
        self.loss += loss.detach() * samples
        self.predicted[rows] = logits.detach().argmax(1)

    def _whole(self, batches: Sequence[Tensor]) -> int | Tensor:
        """What the sum of a step's losses is divided by: its samples, or their weights."""
        weights = self._class_weights
        if weights is None:
            return sum(map(len, batches))
        return torch.stack([weights[self.labels[batch]].sum() for batch in batches]).sum()

    def _loss(self, logits: Tensor, batch: Tensor, given: Sequence[Tensor]) -> Tensor:
        """The sum of this rank's samples' losses: over all ranks and batches, it is that of a single process."""
        own = self._summed(logits, self.labels[self._shard.take(batch)])
        if not self._feed.mixing:
            return own
        share = given[-1]  # of each sample's own label
        return share * own + (1 - share) * self._summed(logits, self.labels[self._shard.take(before(batch))])

    def _summed(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self._class_weights
        if self._hooks.loss is not None:
            each = self._hooks.loss(logits, labels)
            return (each if weights is None else each * weights[labels]).sum()
        return cross_entropy(logits, labels, weights, label_smoothing=self._settings.label_smoothing, reduction="sum")
