"""The training steps of one stage: each leads a global batch forward, back, and through the optimizer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.draws import Draws
from trainables.feed import Feed, Source
from trainables.graphs import Pool, Recorded
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
        *,
        batch_size: int = 0,
        pool: Pool | None = None,
    ) -> None:
        self._feed, self._source, self._part = feed, source, part
        self._settings, self._class_weights = settings, class_weights
        device = feed.machine.device
        self._shard = feed.shard
        self.labels = source.labels.repeat(feed.copies)
        self.loss = torch.zeros((), device=device)
        self.predicted = torch.zeros_like(self.labels)
        self._batch_size = batch_size
        self._compiled: Callable[[Tensor], Tensor] = source.section
        if settings.compile and batch_size:
            self._compiled = torch.compile(source.section)
        self._step = Recorded(self._take, device, pool)

    def begin(self) -> None:
        """Starts an epoch."""
        self.loss.zero_()
        self.predicted.zero_()

    def take(self, batch: Tensor, there: Tensor, draws: Draws, number: int) -> None:
        """Takes the epoch's step `number` on the global batch of sample numbers: `batch` on the CPU, `there` the same on
        the device."""
        self._step(there, *self._feed.fetched(self._source, batch, there, draws, number))

    def _take(self, batch: Tensor, images: Tensor | None = None) -> None:
        rows = self._shard.take(batch)
        self._shard.total = len(batch)
        self._part.optimizer.zero_grad(set_to_none=True)  # before the pass: its activations take the room
        section = self._compiled if len(batch) == self._batch_size else self._source.section
        with self._feed.machine.autocast():
            logits = section(self._feed.inputs(self._source, rows, images))
        loss = self._loss(logits.float(), self.labels[rows], batch)
        loss.backward()
        self._shard.sum(p.grad for p in self._part.parameters)
        if self._settings.clip_norm:
            nn.utils.clip_grad_norm_(self._part.parameters, self._settings.clip_norm)
        self._part.optimizer.step()
        self.loss += loss.detach() * len(batch)
        self.predicted[rows] = logits.detach().argmax(1)

    def _loss(self, logits: Tensor, labels: Tensor, batch: Tensor) -> Tensor:
        """This rank's share of the global batch's mean loss: the shares sum to the loss of a single process."""
        weights = self._class_weights
        whole = len(batch) if weights is None else weights[self.labels[batch]].sum()
        smoothing = self._settings.label_smoothing
        return cross_entropy(logits, labels, weights, label_smoothing=smoothing, reduction="sum") / whole
