"""The image classifier as a trainable: one fine-tuned model, or one for each fold of a k-fold validation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.distributed import ProcessGroup

from hpo.text import one_line
from trainables import data
from trainables.errors import InvalidConfig
from trainables.faults import explained
from trainables.fine_tuning import FineTuning
from trainables.hooks import Hooks
from trainables.image_check import Declared, chosen_hooks
from trainables.memory import memory
from trainables.parallel import Shard
from trainables.probe import probing
from trainables.sections import ImageTask
from trainables.settings import Settings

COUNTED = 200  # most classes whose images are counted for the store: more would be pages of numbers


class ImageClassifier(Declared):
    """Fine-tunes `task.model` on `task.data`; `config` holds the hyperparameters that `Settings` lists.

    With data.folds: K, an epoch trains K models, each on all folds but one, and its metrics are their means. With a
    `group` of torch.distributed, its ranks train one trial together: every rank calls the same methods, all get the
    same metrics, and rank 0 writes. A subclass may have `hooks`, a class such as `trainables.hooks` describes. Raises
    InvalidConfig, Diverged, OutOfMemory (the configuration's fault), ProcessFault (the process's) and BadData (the study's).
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        task: Mapping[str, Any],
        seed: int,
        max_epochs: int,
        group: ProcessGroup | None = None,
    ) -> None:
        settings, asked = Settings.of(config), ImageTask.of(task)
        with _explained():
            hooks = Hooks.of(chosen_hooks(type(self).hooks, asked.model))
            size = asked.data.train_size(settings.image_size)
            whole = data.load(asked.data, image_size=settings.held_out_size, train_size=size)
            sets = [whole.fold(k) for k in range(len(whole.folds))] or [whole]
            self.models = [FineTuning(settings, asked, part, seed, max_epochs, Shard(group), hooks) for part in sets]
        self.provenance = {"data_digest": whole.digest, "device": self.models[0].machine.name}
        if len(whole.classes) <= COUNTED:
            self.provenance["data_counts"] = json.dumps(whole.counts)
        if whole.remarks:
            self.provenance["data_remarks"] = "; ".join(whole.remarks)

    @staticmethod
    def memory_kind(config: Mapping[str, Any], task: Mapping[str, Any]) -> str:
        """Returns the parts of a trial that decide its memory: data, backbone, cut, batch, image size, optimizer, ..."""
        names = ("finetuned_layers", "unfreeze_every", "batch_size", "head_batch_size", "image_size", "optimizer",
                 "momentum", "bf16", "channels_last", "compile", "graphs", "deterministic", "reuse_activations",
                 "test_image_size", "accumulation_steps", "lora_rank", "lora_targets")  # fmt: skip
        settings, asked = Settings.of(config), ImageTask.of(task)
        parts = {"model": asdict(asked.model), "data": asdict(asked.data), **settings.architecture}
        parts |= {name: bool(getattr(settings, name)) for name in ("ema_decay", "mixup_alpha", "cutmix_alpha")}
        return json.dumps(parts | {name: getattr(settings, name) for name in names}, sort_keys=True)

    memory = staticmethod(memory)

    def probe(self) -> None:
        """Takes an epoch's memory by a few steps of each model, then trains as if it had not been called.

        Call it before the first epoch and before `load`, in a single process: ranks would share the batch.
        """
        with _explained(), ExitStack() as held:
            for model in self.models:  # each one's optimizer beside those before it, as in training
                held.enter_context(probing(model))

    def train_epoch(self) -> dict[str, float]:
        """Trains one more epoch; returns loss, accuracy, macro precision, recall and f1, the same with val_, and
        images_per_second."""
        with _explained():
            return _mean([model.train_epoch() for model in self.models])

    def test(self) -> dict[str, Any]:
        """Returns test_loss, test_accuracy, ...; `confusion` as nested lists, rows the true classes (summed over
        folds); and `classes`."""
        with _explained():
            results = [model.test() for model in self.models]
        metrics: dict[str, Any] = {f"test_{name}": value for name, value in _mean([m for m, _ in results]).items()}
        metrics["confusion"] = torch.stack([matrix for _, matrix in results]).sum(0).tolist()
        metrics["classes"] = list(self.models[0].dataset.classes)
        return metrics

    def save(self, directory: str | Path) -> None:
        """Writes the state into `directory`, each file whole or not at all."""
        for model, folder in self._folders(directory):
            model.save(folder)

    def load(self, directory: str | Path) -> None:
        """Continues from the state that `save` wrote."""
        with _explained():
            for model, folder in self._folders(directory):
                model.load(folder)

    def _folders(self, directory: str | Path) -> Iterator[tuple[FineTuning, Path]]:
        for k, model in enumerate(self.models):
            yield model, Path(directory) / f"fold-{k}" if len(self.models) > 1 else Path(directory)


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


@contextmanager
def _explained() -> Iterator[None]:
    """Translates errors that a configuration or a device can cause; `explained` knows those of memory and devices."""
    try:
        with explained():
            yield
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise InvalidConfig(
                "batch_size must be at least 2 where batch normalization sees 1x1 maps, but got 1"
            ) from error
        raise
    except RuntimeError as error:
        if "does not have a deterministic implementation" in str(error):
            raise InvalidConfig(
                f"deterministic must be false for this model, but got true: {one_line(error)}"
            ) from error
        raise
