"""Fine-tuning one model on one data set, epoch by epoch: to be read from top to bottom. Writes only where told to.

All randomness comes from `seed` and the epoch's number: batch order, augmentation and dropout of an epoch are the same
whether the epochs before it were trained by this process or by another.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables import backbones, checkpoint
from trainables.augment import Augmentation, augmentation
from trainables.batches import Source, gather, split_batches
from trainables.data import Dataset, Split
from trainables.errors import Diverged
from trainables.features import Activations, frozen_rows
from trainables.machine import Machine, give_back_memory, lent_generators
from trainables.measures import confusion, measures
from trainables.network import Boundary, Network
from trainables.optimizers import make_optimizer
from trainables.parallel import Shard, share
from trainables.settings import Settings, Stage, rate_factor

log = logging.getLogger(__name__)

PROBE_STEPS = 3  # the first makes the optimizer's state, the second has it beside its activations, allocators settle


class FineTuning:
    """A backbone and its head, trained on a data set as `settings` say, by one process or by the ranks of a group."""

    def __init__(
        self,
        settings: Settings,
        task: Mapping[str, Any],
        dataset: Dataset,
        seed: int,
        max_epochs: int,
        shard: Shard | None = None,
    ) -> None:
        model = dict(task["model"])
        name, weights = str(model.pop("name")), str(model.pop("weights", None) or "DEFAULT")
        self.settings, self.dataset, self.seed, self.max_epochs = settings, dataset, seed, max_epochs
        self.shard = shard or Shard()
        self.epoch = 0
        architecture = {**model, **settings.architecture}
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.machine = Machine(device, settings.channels_last, settings.bf16, backbones.normalization(name, weights))
        self.model = backbones.build(
            name,
            len(dataset.classes),
            weights=weights,
            image_size=settings.image_size,
            dropout=settings.dropout,
            seed=seed,
            architecture=architecture,
        )
        share(self.model, self.shard)
        self.model.to(device, memory_format=self.machine.format)
        self.network = Network(self.model, settings.image_size)
        digest = backbones.weights_digest(
            name, weights, seed=seed, image_size=settings.image_size, architecture=architecture
        )
        self._key = (
            f"{digest}-{settings.image_size}-{'bf16' if settings.bf16 else 'f32'}-{device.type}-{self.machine.chunk}"
        )
        data = task["data"]
        self.augmentation: Augmentation | None = augmentation(str(data.get("augment") or "none"))
        weighted = dataset.class_weights(str(data.get("class_weights") or "none"))
        self.class_weights = None if weighted is None else weighted.to(device)
        stopping = task.get("early_stopping") or {}
        self._restore = (stopping["metric"], stopping["mode"]) if stopping else None
        self._best: tuple[float, dict[str, Tensor]] | None = None
        self._stage: Stage | None = None
        self._copies = self.augmentation.copies if self.augmentation else 1
        self._samples = len(dataset.train) * self._copies

    # -- one epoch ------------------------------------------------------------------------------------------------

    def train_epoch(self) -> dict[str, float]:
        """Trains the next epoch and measures it on the training (as trained) and the validation split."""
        began = time.perf_counter()
        self._enter(self.settings.stage(self.epoch + 1, self.network.thaws()))
        metrics = self._train()
        if len(self.validation.labels):
            metrics |= {f"val_{name}": value for name, value in self._evaluate(self.validation)[0].items()}
        self.epoch += 1
        for name in ("loss", "val_loss"):
            if not math.isfinite(metrics.get(name, 0.0)):
                raise Diverged(self.epoch, name, metrics[name])
        self._remember(metrics)
        if self.training.kept is None:
            give_back_memory()
        metrics["images_per_second"] = self._samples / (time.perf_counter() - began)
        return metrics

    def _train(self) -> dict[str, float]:
        source = self.training
        device = self.machine.device
        # On the device once: a copy in each step would make the CPU wait for the GPU.
        order = torch.randperm(self._samples, generator=self._generator("order")).to(device)
        batches = split_batches(order, self._batch_size)
        total = torch.zeros((), device=device)
        predicted = torch.zeros(self._samples, dtype=torch.int64, device=device)
        labels = source.labels.repeat(self._copies)
        self.model.eval()
        for module in self.network.trained_modules(self._cut):
            module.train()
        with self._seeded():
            for step, batch in enumerate(batches):
                self._set_rate((self.epoch + step / len(batches)) / self.max_epochs)
                loss, logits = self._step(source, self._compiled, labels, batch, step)
                total += loss * len(batch)
                predicted[self.shard.take(batch)] = logits.argmax(1)
        self.shard.sum([total, predicted])
        return {
            "loss": float(total) / self._samples,
            **measures(confusion(labels, predicted, len(self.dataset.classes))),
        }

    def _step(
        self, source: Source, section: Callable[[Tensor], Tensor], labels: Tensor, batch: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """One step of the optimizer on the global `batch`; this rank's share of its mean loss, and its logits."""
        rows = self.shard.take(batch)
        self.shard.total = len(batch)
        self.optimizer.zero_grad(set_to_none=True)  # before the pass: its activations take the room
        with self.machine.autocast():
            logits = section(self._batch(source, batch, step))
        loss = self._loss(logits.float(), labels[rows], labels[batch] if self.shard.world > 1 else labels[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        self.shard.sum(p.grad for p in self._parameters)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
        self.optimizer.step()
        return loss.detach(), logits.detach()

    def _batch(self, source: Source, batch: Tensor, step: int) -> Tensor:
        """This rank's inputs of the global `batch` of sample numbers; sample i is copy i // N of image i % N."""
        count = len(source.rows)
        if self.augmentation is None:
            return self._gather(source, self.shard.take(batch) % count)
        images = gather(source.rows, batch % count)
        original = batch < count if self._copies > 1 else None
        altered = self.augmentation(images, self._generator("augmentation", step), original)
        mine = self.shard.take(altered)
        return self._to_boundary(source, self.machine.prepare(mine), len(mine))

    def _gather(self, source: Source, rows: Tensor) -> Tensor:
        """The boundary's activations of these rows: the same bits whether they are kept or computed here."""
        if source.rows.dtype == torch.uint8:
            inputs = self.machine.prepare(gather(source.rows, rows))
        else:
            inputs = self.machine.unpack(source.rows.index_select(0, rows.to(source.rows.device)))
        # A GPU would idle over a small batch filled up to a whole pass.
        return self._to_boundary(source, inputs, len(rows) if inputs.is_cuda else self.machine.chunk)

    def _to_boundary(self, source: Source, inputs: Tensor, size: int) -> Tensor:
        if source.frozen is None:
            return inputs
        return self.machine.unpack(frozen_rows(source.frozen, self.machine, inputs, size))

    def _loss(self, logits: Tensor, labels: Tensor, all_labels: Tensor) -> Tensor:
        """The rank's share of the global batch's mean loss: the shares add up to what one process would have."""
        whole = len(all_labels) if self.class_weights is None else self.class_weights[all_labels].sum()
        smoothing = self.settings.label_smoothing
        return cross_entropy(logits, labels, self.class_weights, label_smoothing=smoothing, reduction="sum") / whole

    def _set_rate(self, progress: float) -> None:
        assert self._stage is not None
        for group in self.optimizer.param_groups:
            group["lr"] = self._stage.learning_rate * rate_factor(self.settings.schedule, progress)

    # -- measuring ------------------------------------------------------------------------------------------------

    def test(self) -> tuple[dict[str, float], Tensor]:
        """Metrics and confusion matrix [K, K] on the test split, with the best weights where early stopping is on."""
        self._enter(self._stage or self.settings.stage(1, self.network.thaws()))
        current = {name: value.clone() for name, value in self._trained_state().items()} if self._best else {}
        if self._best is not None:
            self._set_trained(self._best[1])
        try:
            return self._evaluate(self._source(self.dataset.test, "test", self._cut, keep=False))
        finally:
            self._set_trained(current)

    @torch.no_grad()
    def _evaluate(self, source: Source) -> tuple[dict[str, float], Tensor]:
        self.model.eval()
        labels = self.shard.take(source.labels)
        mine = self.shard.take(torch.arange(len(source.labels), device=self.machine.device))
        total = torch.zeros((), device=self.machine.device)
        predicted = torch.zeros_like(labels)
        size = self._pass(source.boundary)
        for first in range(0, len(mine), size):
            rows = slice(first, first + size)
            with self.machine.autocast():
                logits = source.section(self._gather(source, mine[rows])).float()
            total += cross_entropy(logits, labels[rows], label_smoothing=self.settings.label_smoothing, reduction="sum")
            predicted[rows] = logits.argmax(1)
        matrix = confusion(labels, predicted, len(self.dataset.classes))
        self.shard.sum([total, matrix])
        return {"loss": float(total) / len(source.labels), **measures(matrix)}, matrix

    def _pass(self, boundary: Boundary) -> int:
        """Rows that are measured at a time, from the boundary on."""
        return max(self.machine.chunk, 2**18 // math.prod(boundary.shape))

    # -- what is trained, and from where --------------------------------------------------------------------------

    def _enter(self, stage: Stage) -> None:
        """Sets up what the stage trains, unless that is set up already; a new stage starts with a new optimizer."""
        before, self._stage = self._stage, stage
        self._batch_size = stage.batch_size
        if before is not None and before.layers == stage.layers:
            return
        self._choose(stage)
        if reason := self._no_reuse():
            log.info("activations of the training images are not reused: %s", reason)
        self.training = self._source(self.dataset.train, "train", self._cut, keep=self.augmentation is None)
        self.validation = self._source(self.dataset.validation, "validation", self._cut, keep=True)
        self._compiled = torch.compile(self.training.section) if self.settings.compile else self.training.section

    def _choose(self, stage: Stage) -> None:
        """What the stage trains, with a new optimizer for it."""
        self._cut = self.network.cut(stage.layers)
        self._names = self.network.trained(self._cut)
        self.model.requires_grad_(False)
        self._parameters = [self.model.get_parameter(name).requires_grad_() for name in self._names]
        self.optimizer = make_optimizer(self._parameters, self.settings)

    def _no_reuse(self) -> str:
        """Why the training images go through the frozen layers in every epoch; nothing where they need not."""
        if not self.settings.reuse_activations:
            return "reuse_activations is off"
        if self.network.boundary(self._cut).position == 0:
            return "what is trained begins before the first place where they could be kept"
        return f"augmentation {self.augmentation.name} alters them" if self.augmentation else ""

    def _source(self, split: Split, name: str, cut: int, *, keep: bool) -> Source:
        start, kept = self.network.boundaries[0], None
        boundary = self.network.boundary(cut)
        if keep and self.settings.reuse_activations:
            key = hashlib.sha256(
                f"{self._key}-{self.dataset.digest}-{name}-{self.machine.format}".encode()
            ).hexdigest()[:16]
            start, kept = Activations(self.network, self.machine, split.images, key).before(boundary)
        rows = split.images if kept is None else kept.values
        if self._has_room(rows.nbytes):
            rows = rows.to(self.machine.device)
        frozen = self.network.section(start, boundary) if start != boundary else None
        labels = split.labels.to(self.machine.device)
        return Source(rows, labels, frozen, boundary, self.network.section(boundary), kept)

    def _has_room(self, size: int) -> bool:
        """Whether rows of `size` bytes are to lie on the GPU."""
        return self.machine.device.type == "cuda" and bool(size < 0.25 * torch.cuda.mem_get_info()[0])

    # -- what it takes --------------------------------------------------------------------------------------------

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Takes, before anything is trained, what an epoch takes at its peak; open, it holds what such an epoch holds.

        That is PROBE_STEPS on a largest batch and a pass of validation, in the first and in the last epoch's stage,
        beside what lies on the GPU throughout. Nothing is kept of it: closed, the model trains as if it had not been
        opened, bit for bit on a CPU. Not in it: kept activations where they stay in the machine's memory (all processes
        share those), torch.compile, whose kernels take less than what runs here, and ranks, which share a batch.
        """
        stages = [self.settings.stage(epoch, self.network.thaws()) for epoch in (1, self.max_epochs)]
        resident: list[Tensor] = []
        for stage in {(stage.layers, stage.batch_size): stage for stage in stages}.values():
            resident.clear()
            self._choose(stage)
            # Put back afterwards; until then it stands for the best weights that early stopping keeps.
            before = {name: value.clone() for name, value in self._trained_state().items()}
            resident += self._try(stage)
            self._set_trained(before)
        yield
        self.model.zero_grad(set_to_none=True)
        del self.optimizer

    def _try(self, stage: Stage) -> list[Tensor]:
        """Some steps and a pass of validation; returns what an epoch has on the GPU from its begin to its end."""
        self.model.eval()
        size = max(map(len, split_batches(torch.arange(self._samples), stage.batch_size)))
        source, resident = self._stand_in(self.dataset.train, size, keep=self.augmentation is None)
        labels = source.labels.repeat(self._copies)
        for module in self.network.trained_modules(self._cut):
            module.train()
        with self._seeded():
            for step in range(PROBE_STEPS):
                self._step(source, source.section, labels, torch.arange(size, device=self.machine.device), step)
        if not len(self.dataset.validation):
            return [resident]
        size = self._pass(source.boundary)
        source, more = self._stand_in(self.dataset.validation, size, keep=True)
        self._evaluate(source)
        return [resident, more]

    def _stand_in(self, split: Split, count: int, *, keep: bool) -> tuple[Source, Tensor]:
        """`_source` for at most `count` of the split's rows, and as many bytes as all of them would take on the GPU."""
        start, boundary = self.network.boundaries[0], self.network.boundary(self._cut)
        frozen = self.network.section(start, boundary) if start != boundary else None
        rows = gather(split.images, torch.arange(min(count, len(split))))
        if keep and self.settings.reuse_activations and frozen is not None:
            some = self.machine.prepare(rows[: self.machine.chunk])
            kept = frozen_rows(frozen, self.machine, some, self.machine.chunk)
            rows, frozen = kept[torch.arange(len(rows)) % len(kept)], None
        whole = rows.nbytes // len(rows) * len(split)
        resident = torch.empty(whole if self._has_room(whole) else 0, dtype=torch.uint8, device=self.machine.device)
        labels = split.labels[: len(rows)].to(self.machine.device)
        return Source(rows, labels, frozen, boundary, self.network.section(boundary), None), resident

    # -- pausing and resuming -------------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> None:
        """Writes what later epochs depend on: the trained part's weights, the optimizer's state, the epoch's number."""
        if self.shard.rank:
            return
        tensors: dict[str, Tensor] = {}
        values: dict[str, Any] = {"epoch": self.epoch}
        if self._stage is not None:
            tensors |= {f"model/{name}": value for name, value in self._trained_state().items()}
            state, values["optimizer"] = checkpoint.pack_optimizer(self.optimizer, self._names)
            tensors |= {f"optimizer/{name}": value for name, value in state.items()}
        if self._best is not None:
            values["best"] = self._best[0]
            tensors |= {f"best/{name}": value for name, value in self._best[1].items()}
        checkpoint.write(directory, tensors, values)

    def load(self, directory: str | Path) -> None:
        """Continues where `save` stood: the next epoch is, bit for bit on a CPU, what it would have been there."""
        tensors, values = checkpoint.read(directory)
        self.epoch = values["epoch"]
        part = {
            kind: {k.removeprefix(f"{kind}/"): v for k, v in tensors.items() if k.startswith(f"{kind}/")}
            for kind in _PARTS
        }
        self._best = (values["best"], part["best"]) if "best" in values else None
        if self.epoch:
            self._stage = None
            self._enter(self.settings.stage(self.epoch, self.network.thaws()))
            self._set_trained(part["model"])
            checkpoint.unpack_optimizer(self.optimizer, self._names, part["optimizer"], values["optimizer"])

    def _trained_state(self) -> dict[str, Tensor]:
        """The trained parameters and the statistics that training moves, as they are now; not copies."""
        modules = {id(module) for module in self.network.trained_modules(self._cut)}
        buffers = {
            f"{prefix}.{name}": buffer
            for prefix, module in self.model.named_modules()
            if id(module) in modules
            for name, buffer in module.named_buffers(recurse=False)
        }
        return {name: self.model.get_parameter(name).detach() for name in self._names} | buffers

    @torch.no_grad()
    def _set_trained(self, state: Mapping[str, Tensor]) -> None:
        for name, value in self._trained_state().items():
            if name in state:
                value.copy_(state[name])

    def _remember(self, metrics: Mapping[str, float]) -> None:
        """Keeps the weights of the best epoch where early stopping is on, by its metric."""
        if self._restore is None:
            return
        metric, mode = self._restore
        value = metrics[metric] if mode == "max" else -metrics[metric]
        if self._best is None or value > self._best[0]:
            self._best = (value, {name: tensor.clone() for name, tensor in self._trained_state().items()})

    # -- randomness -----------------------------------------------------------------------------------------------

    def _generator(self, purpose: str, step: int = 0) -> Generator:
        return Generator().manual_seed(self._number(purpose, step))

    def _number(self, purpose: str, step: int = 0) -> int:
        text = f"{self.seed} {purpose} {self.epoch} {step}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])

    def _seeded(self) -> Any:
        """Lends torch's global generators to the epoch's dropout, which knows no other, and puts them back."""
        return lent_generators(self.machine.device, self._number("dropout"))


_PARTS = ("model", "optimizer", "best")
