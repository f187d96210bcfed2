"""The inputs of an epoch: images or kept activations of a split, led to the boundary where training begins.

Keeps activations of the frozen part on the node (trainables.features) where they are the same in every epoch.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.augment import Augmentation
from trainables.batches import gather, moved
from trainables.boundary import Boundary
from trainables.data import Dataset, Split
from trainables.draws import Draws
from trainables.features import Activations, frozen_rows
from trainables.kept_arrays import Kept
from trainables.machine import Machine
from trainables.mixing import Mixing, before, mixed
from trainables.parallel import Shard
from trainables.staging import Staging
from trainables.untraced import AnyNetwork

RESIDENT_SHARE = 1 / 16  # of a GPU's memory: the most that a split's rows may take to lie there throughout


@dataclass(frozen=True)
class Source:
    """One split: `rows` [N, ...] are images as bytes or activations kept at `start`; `section` leads on to logits.

    `section` begins at `boundary`. `frozen` leads from `start` to it, where they differ.
    """

    rows: Tensor
    start: Boundary
    labels: Tensor
    frozen: nn.Module | None
    boundary: Boundary
    section: nn.Module
    kept: Kept | None  # in use for as long as its rows are
    staging: Staging | None = None  # where the rows lie in the machine's memory, and the device is a GPU


@dataclass(frozen=True)
class Feed:
    """The inputs of a data set's splits on a machine, of this rank's `shard` of each batch.

    `key` is equal only for equal values of the backbone in equal precision. Without `reuse` no activations are kept.
    """

    network: AnyNetwork
    machine: Machine
    dataset: Dataset
    key: str
    reuse: bool
    augmentation: Augmentation | None
    shard: Shard
    mixing: Mixing | None = None

    @property
    def copies(self) -> int:
        """Samples that an epoch takes of each training image."""
        return self.augmentation.copies if self.augmentation else 1

    @property
    def samples(self) -> int:
        """Samples of a training epoch."""
        return len(self.dataset.train) * self.copies

    # -- sources --------------------------------------------------------------------------------------------------

    def training(self, cut: int) -> Source:
        """Returns the training split for training from `cut` on."""
        return self._source(self.dataset.train, "train", cut, keep=not self.altered)

    def validation(self, cut: int) -> Source:
        """Returns the validation split for the same."""
        return self._source(self.dataset.validation, "validation", cut, keep=True)

    def test(self, cut: int) -> Source:
        """Returns the test split, whose activations are not kept: it is used once."""
        return self._source(self.dataset.test, "test", cut, keep=False)

    def no_reuse(self, cut: int) -> str:
        """Returns why the training images pass through the frozen layers in every epoch; empty where they need not."""
        if not self.reuse:
            return "reuse_activations is off"
        if self.network.boundary(cut).position == 0:
            return "what is trained begins before the first place where they could be kept"
        return self.altered

    @property
    def altered(self) -> str:
        """What makes the training images other ones in every epoch, in words; empty where nothing does."""
        if self.augmentation:
            return f"augmentation {self.augmentation.name} alters them"
        return f"{self.mixing.name} alters them" if self.mixing else ""

    def _source(self, split: Split, name: str, cut: int, *, keep: bool) -> Source:
        start, kept = self.network.boundaries[0], None
        boundary = self.network.boundary(cut)
        if keep and self.reuse:
            text = f"{self.key}-{self.dataset.digest}-{name}-{self.machine.format}"
            key = hashlib.sha256(text.encode()).hexdigest()[:16]
            start, kept = Activations(self.network, self.machine, split.images, key).before(boundary)
        rows = split.images if kept is None else kept.values
        if self._has_room(rows.nbytes):
            rows = rows.to(self.machine.device)
        frozen = self.network.section(start, boundary) if start != boundary else None
        labels = split.labels.to(self.machine.device)
        return Source(rows, start, labels, frozen, boundary, self.network.section(boundary), kept, self._staging(rows))

    def _has_room(self, size: int) -> bool:
        """Whether rows of `size` bytes lie on the GPU throughout: whatever else does, so that a trial's peak is its own."""
        if self.machine.device.type != "cuda":
            return False
        return size <= RESIDENT_SHARE * torch.cuda.get_device_properties(self.machine.device).total_memory

    def _staging(self, rows: Tensor) -> Staging | None:
        return Staging() if self.machine.device.type == "cuda" and rows.device.type == "cpu" else None

    # -- batches --------------------------------------------------------------------------------------------------

    def fetches(self, source: Source) -> int:
        """Returns how many tensors `fetched` returns."""
        return 4 if self.mixing else 1 if self.augmentation or source.staging else 0

    def fetched(self, source: Source, batch: Tensor, there: Tensor, draws: Draws, step: int) -> tuple[Tensor, ...]:
        """Returns what `inputs` needs of a global batch beside its sample numbers, `batch` on the CPU and `there` on the
        device: this rank's images where they are altered, its rows where they do not lie on the device; else nothing.
        Where samples are mixed, also the images that they are mixed with, and what is kept of each pixel and label.

        Sample i is copy i // N of image i % N.
        """
        count = len(source.rows)
        if not self.altered:
            return self.staged(source, self.shard.take(batch))
        if source.staging is None:
            images = gather(source.rows, there % count)
        else:
            images = source.staging.gather(source.rows, batch % count).to(self.machine.device, non_blocking=True)
        if self.augmentation is not None:
            original = there < count if self.copies > 1 else None
            images = self.augmentation(images, draws.generator("augmentation", step), original)
        if self.mixing is None:
            return (self.shard.take(images),)
        drawn = self.mixing.draw(images.shape[-1], draws.generator("mixing", step))
        kept, share = (moved(value, self.machine.device) for value in drawn)
        return self.shard.take(images), self.shard.take(before(images)), kept, share

    def staged(self, source: Source, rows: Tensor) -> tuple[Tensor, ...]:
        """Returns the rows [N, ...] of these numbers, on their way to the device; nothing where they lie there."""
        return () if source.staging is None else (source.staging.gather(source.rows, rows % len(source.rows)),)

    def inputs(self, source: Source, rows: Tensor, given: Tensor | None = None, *mix: Tensor) -> Tensor:
        """Returns the boundary's activations of these samples, whose rows may be `given`, and others to `mix` them with.

        They are the same bits whether they were kept or are computed here.
        """
        found = gather(source.rows, rows % len(source.rows)) if given is None else given
        if source.rows.dtype == torch.uint8:
            inputs = self.machine.prepare(found)
            if mix:
                inputs = mixed(inputs, self.machine.prepare(mix[0]), mix[1])
        else:
            inputs = source.start.unpack(found.to(self.machine.device, non_blocking=True))
        # A GPU would idle over a small batch filled up to a whole pass, and altered images are never kept.
        whole = inputs.is_cuda or given is not None
        return self._to_boundary(source, inputs, len(rows) if whole else self.machine.chunk)

    def rows_at_a_time(self, boundary: Boundary) -> int:
        """Returns how many rows are measured in one pass from the boundary on."""
        room = 2**22 if self.machine.device.type == "cuda" else 2**18
        return max(self.machine.chunk, room // math.prod(boundary.shape))

    def _to_boundary(self, source: Source, inputs: Tensor, size: int) -> Tensor:
        if source.frozen is None:
            return inputs
        return source.boundary.unpack(frozen_rows(source.frozen, source.boundary, self.machine, inputs, size))

    # -- the memory probe's inputs --------------------------------------------------------------------------------

    def training_stand_in(self, cut: int, count: int) -> tuple[Source, Tensor]:
        """Returns `training` with at most `count` rows, and as many bytes as all rows would take on the GPU."""
        return self._stand_in(self.dataset.train, cut, count, keep=not self.altered)

    def validation_stand_in(self, cut: int) -> tuple[Source, Tensor]:
        """Returns `validation` with the rows of one pass, and as many bytes as all rows would take on the GPU."""
        count = self.rows_at_a_time(self.network.boundary(cut))
        return self._stand_in(self.dataset.validation, cut, count, keep=True)

    def _stand_in(self, split: Split, cut: int, count: int, *, keep: bool) -> tuple[Source, Tensor]:
        start, boundary = self.network.boundaries[0], self.network.boundary(cut)
        frozen = self.network.section(start, boundary) if start != boundary else None
        rows = gather(split.images, torch.arange(min(count, len(split))))
        if keep and self.reuse and frozen is not None:
            some = self.machine.prepare(rows[: self.machine.chunk])
            kept = frozen_rows(frozen, boundary, self.machine, some, self.machine.chunk)
            rows, start, frozen = kept[torch.arange(len(rows)) % len(kept)], boundary, None
        whole = rows.nbytes // len(rows) * len(split)
        resident = torch.empty(whole if self._has_room(whole) else 0, dtype=torch.uint8, device=self.machine.device)
        labels = split.labels[: len(rows)].to(self.machine.device)
        source = Source(
            rows, start, labels, frozen, boundary, self.network.section(boundary), None, self._staging(rows)
        )
        return source, resident
