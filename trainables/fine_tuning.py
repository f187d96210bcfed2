"""Fine-tuning one model on one data set, epoch by epoch: to be read from top to bottom. Writes only in `save`.

All randomness comes from `seed` and the epoch's number: batch order, augmentation and dropout of an epoch are the same
whether this process or another trained the epochs before it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Hashable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import backbones, checkpoint, lora
from trainables.augment import Augmentation, augmentation
from trainables.batches import moved, split_batches
from trainables.data import Dataset
from trainables.draws import Draws
from trainables.errors import Diverged, InvalidConfig
from trainables.evaluation import Evaluation
from trainables.feed import Feed, Source
from trainables.graphs import Pool, pool
from trainables.hooks import Hooks, fingerprint
from trainables.machine import Machine, chosen_device, give_back_memory, keep_freed_memory
from trainables.measures import confusion, measures
from trainables.mixing import Mixing
from trainables.parallel import Shard, share
from trainables.pretrained import normalization, weights_digest
from trainables.rates import rate_factor
from trainables.ridge import fit_head
from trainables.sections import ImageTask, Model
from trainables.settings import Settings, Stage
from trainables.steps import Steps
from trainables.trained_part import State, TrainedPart
from trainables.untraced import network_of

log = logging.getLogger(__name__)

GIVE_BACK_SECONDS = 1.0  # how often freed memory is given back at most: short epochs take the same pages again


class FineTuning:
    """A backbone and its head, trained on a data set as `settings` say, by one process or by the ranks of a group."""

    def __init__(
        self,
        settings: Settings,
        task: ImageTask,
        dataset: Dataset,
        seed: int,
        max_epochs: int,
        shard: Shard | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.settings, self.dataset, self.seed, self.max_epochs = settings, dataset, seed, max_epochs
        self.shard, self.hooks = shard or Shard(), hooks or Hooks()
        self.epoch = 0
        if settings.warmup_epochs and settings.warmup_epochs >= max_epochs:
            raise InvalidConfig(
                f"warmup_epochs must be below the trial's {max_epochs} epochs, but got {settings.warmup_epochs}"
            )
        self.machine = machine_for(settings, task.model)
        self.model, key = self._build(task.model)
        sizes = {**task.model.architecture, **settings.architecture}
        kind = None if self.hooks.model else (task.model.name, tuple(sorted(sizes.items())), len(dataset.classes))
        self.network = network_of(self.model, settings.image_size, self.machine.format, kind)
        self._refuse_layers(task.model.name)
        self.feed, self.held_out = self._feeds(task, key, kind)
        weighted = dataset.class_weights(task.data.class_weights)
        self.class_weights = None if weighted is None else weighted.to(self.machine.device)
        self._stopping = task.stopping
        self._best: tuple[float, State] | None = None  # where early stopping is on
        self._stage: Stage | None = None
        self._given_back = time.perf_counter()

    def _feeds(self, task: ImageTask, key: str, kind: Hashable) -> tuple[Feed, Feed]:
        """The inputs of the training images, and of validation and test images, which may have a size of their own."""
        settings, given = self.settings, (self.machine, self.dataset)
        altered, reuse = self._altering(task), settings.reuse_activations
        mixing = Mixing(settings.mixup_alpha, settings.cutmix_alpha)
        feed = Feed(self.network, *given, key, reuse, altered, self.shard, mixing if mixing.name else None)
        if (size := settings.held_out_size) == settings.image_size:
            return feed, feed
        network = network_of(self.model, size, self.machine.format, kind)
        return feed, Feed(network, *given, f"{key}-{size}", reuse, None, self.shard)

    def _refuse_layers(self, name: str) -> None:
        """Raises InvalidConfig for settings that ask for layers that the model does not have."""
        settings, network = self.settings, self.network
        if settings.unfreeze_every and not network.layers:
            raise InvalidConfig(f"unfreeze_every must be 0 for {name}, whose layers cannot be told apart")
        if settings.lora_rank and not any(
            map(lora.is_adapter, network.trained(network.cut(settings.finetuned_layers)))
        ):
            last = settings.finetuned_layers
            raise InvalidConfig(
                f"lora_rank must be 0 where the last {last} layers have none to adapt: {settings.lora_targets}"
            )

    def _altering(self, task: ImageTask) -> Augmentation | None:
        """What alters the training images: the study's augmentation or the hook's."""
        if self.hooks.augment is not None:
            return Augmentation("hook", self.hooks.augment)
        return augmentation(task.data.augment, self.settings.image_size, self.settings.crop_scale)

    def _build(self, model: Model) -> tuple[nn.Module, str]:
        """The model on its device, and a key that is equal only where its frozen part computes equal values."""
        settings, machine = self.settings, self.machine
        architecture = {**model.architecture, **settings.architecture}
        made = backbones.build(
            model.name,
            len(self.dataset.classes),
            weights=model.weights,
            image_size=settings.image_size,
            dropout=settings.dropout,
            seed=self.seed,
            architecture=architecture,
        )
        made = self.hooks.made(made)
        if settings.lora_rank:
            lora.attach(made, settings, self.seed)
        share(made, self.shard)
        made.to(machine.device).to(memory_format=machine.format)
        digest = weights_digest(
            model.name, model.weights, seed=self.seed, image_size=settings.image_size, architecture=architecture
        )
        if self.hooks.model is not None:
            digest += f"-{fingerprint(made, machine, settings.image_size)}"
        precision = ("bf16" if settings.bf16 else "f32") + ("-deterministic" if settings.deterministic else "")
        return made, f"{digest}-{settings.image_size}-{precision}-{machine.device.type}-{machine.chunk}"

    # -- one epoch ------------------------------------------------------------------------------------------------

    def train_epoch(self) -> dict[str, float]:
        """Trains the next epoch; returns its metrics on the training (as trained) and the validation split."""
        began = time.perf_counter()
        with self.machine.at_work():
            self._enter(self.stage(self.epoch + 1))
            metrics = self._train()
            if len(self.validation.labels):
                with self.part.evaluated():
                    metrics |= {f"val_{name}": value for name, value in self._validation.measure()[0].items()}
        self.epoch += 1
        for name in ("loss", "val_loss"):
            if not math.isfinite(metrics.get(name, 0.0)):
                raise Diverged(self.epoch, name, metrics[name])
        self._remember(metrics)
        if self.machine.device.type == "cpu" and time.perf_counter() - self._given_back > GIVE_BACK_SECONDS:
            give_back_memory()
            self._given_back = time.perf_counter()
        metrics["images_per_second"] = self.feed.samples / (time.perf_counter() - began)
        return metrics

    def _train(self) -> dict[str, float]:
        assert self._stage is not None
        order = torch.randperm(self.feed.samples, generator=self.draws.generator("order"))
        sizes = self._stage.batch_size
        batches = split_batches(order, sizes)
        if self.settings.optimizer == "ridge":
            return self._fit(batches)
        # On the device once: a copy in each step would make the CPU wait for the GPU.
        there = split_batches(moved(order, self.machine.device), sizes)
        steps, draws, together = self._steps, self.draws, self.settings.accumulation_steps
        self.part.train_mode()
        steps.begin()
        with draws.lent(self.machine.device):
            for number in range(0, len(batches), together):
                trained = self.epoch + number / len(batches)
                self.part.set_rate(self._stage.learning_rate * rate_factor(self.settings, trained, self.max_epochs))
                group = slice(number, number + together)
                steps.take(batches[group], there[group], draws, number)
        self.shard.sum([steps.loss, steps.predicted])
        return {
            "loss": float(steps.loss) / len(order),
            **measures(confusion(steps.labels, steps.predicted, len(self.dataset.classes))),
        }

    def _fit(self, batches: list[Tensor]) -> dict[str, float]:
        """Solves for the head in closed form; returns its metrics on the training split."""
        with self.part.evaluated():
            weights = self.class_weights
            fit_head(self.model, self.feed, self.training, batches, weights, self.settings.weight_decay)
            return Evaluation(self.feed, self.training, weights).measure()[0]

    @property
    def draws(self) -> Draws:
        """The random numbers of the next epoch."""
        return Draws(self.seed, self.epoch)

    # -- stages ---------------------------------------------------------------------------------------------------

    def stage(self, epoch: int) -> Stage:
        """Returns how `epoch` (1-based) is trained."""
        return self.settings.stage(epoch, self.network.thaws())

    def choose(self, stage: Stage) -> None:
        """Makes the stage's layers the trained part, with a new optimizer."""
        self.part = TrainedPart(self.network, stage.layers, self.settings, self.hooks)

    def _enter(self, stage: Stage) -> None:
        """Sets up the stage. The trained part and its sources stay as long as the same layers are trained."""
        before, self._stage = self._stage, stage
        if before is not None and before.layers == stage.layers:
            return
        averages = self.part.averages if before is not None else None
        self.choose(stage)
        if averages is not None and self.part.averages is not None:
            self.part.averages.restore(averages.values)
        if reason := self.feed.no_reuse(self.part.cut):
            log.info("activations of the training images are not reused: %s", reason)
        memory = pool(self.machine.device, wanted=self.settings.graphs and self.shard.world == 1)
        self.training, size = self.feed.training(self.part.cut), stage.batch_size
        self._steps = self.steps(self.training, batch_size=size, pool=memory)
        self.validation = self.held_out.validation(self.part.cut)
        self._validation = self.evaluation(self.validation, memory)

    def steps(self, source: Source, *, batch_size: int = 0, pool: Pool | None = None) -> Steps:
        """Returns the steps of the present stage on a source, neither compiled nor recorded without the last arguments."""
        weights, hooks = self.class_weights, self.hooks
        return Steps(self.feed, source, self.part, self.settings, weights, hooks, batch_size=batch_size, pool=pool)

    def evaluation(self, source: Source, pool: Pool | None = None) -> Evaluation:
        """Returns the evaluation of the present stage on a source of `held_out`."""
        return Evaluation(self.held_out, source, self.class_weights, pool, self.hooks)

    # -- the best epoch and the test ------------------------------------------------------------------------------

    def _remember(self, metrics: Mapping[str, float]) -> None:
        """Keeps the weights of the best epoch where early stopping is on, by its metric."""
        if self._stopping is None:
            return
        value = self._stopping.value(metrics)
        if self._best is None or value > self._best[0]:
            self._best = value, self.part.best()

    def test(self) -> tuple[dict[str, float], Tensor]:
        """Returns the test split's metrics and confusion matrix [K, K]: of the best epoch's weights, if they are kept."""
        with self.machine.at_work():
            self._enter(self._stage or self.stage(1))
            with self.part.evaluated(self._best[1] if self._best else None):
                return self.evaluation(self.held_out.test(self.part.cut)).measure()

    def tested_model(self) -> nn.Module:
        """Returns a copy of the network in evaluation mode, with the weights that `test` measures."""
        with self.machine.at_work():
            self._enter(self._stage or self.stage(1))
            with self.part.evaluated(self._best[1] if self._best else None):
                return deepcopy(self.model)

    # -- pausing and resuming -------------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> None:
        """Writes all that later epochs depend on: the trained weights, the optimizer's state, the epoch's number."""
        if self.shard.rank:
            return
        tensors: State = {}
        values: dict[str, Any] = {"epoch": self.epoch}
        if self._stage is not None:
            tensors |= {f"model/{name}": value for name, value in self.part.state().items()}
            if self.part.averages is not None:
                tensors |= {f"average/{name}": value for name, value in self.part.averages.values.items()}
            state, values["optimizer"] = self.part.pack_optimizer()
            tensors |= {f"optimizer/{name}": value for name, value in state.items()}
        if self._best is not None:
            values["best"] = self._best[0]
            tensors |= {f"best/{name}": value for name, value in self._best[1].items()}
        checkpoint.write(directory, tensors, values)

    def load(self, directory: str | Path) -> None:
        """Continues where `save` stood: on a CPU, the next epoch is the same bit for bit as without the pause."""
        tensors, values = checkpoint.read(directory)
        self.epoch = values["epoch"]
        part = {
            kind: {k.removeprefix(f"{kind}/"): v for k, v in tensors.items() if k.startswith(f"{kind}/")}
            for kind in ("model", "average", "optimizer", "best")
        }
        self._best = (values["best"], part["best"]) if "best" in values else None
        if self.epoch:
            self._stage = None
            with self.machine.at_work():
                self._enter(self.stage(self.epoch))
                self.part.restore(part["model"])
                if self.part.averages is not None:
                    self.part.averages.restore(part["average"])
                self.part.unpack_optimizer(part["optimizer"], values["optimizer"])


def machine_for(settings: Settings, model: Model) -> Machine:
    """Returns the GPU where there is one, else the CPU, in the settings' layout and precision. Raises ProcessFault."""
    device = chosen_device()
    if device.type == "cpu":
        keep_freed_memory()
    own = normalization(model.name, model.weights)
    return Machine(device, settings.channels_last, settings.bf16, own, settings.deterministic)
