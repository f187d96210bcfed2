"""Fine-tuning with and without kept activations of the frozen part, from the same weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainables import data
from trainables.fine_tuning import FineTuning
from trainables.sections import ImageTask
from trainables.settings import Settings

Metrics = dict[str, float]

TINY = {"name": "digits", "train": 24, "validation": 10, "test": 10}
SMALL_VIT = {"patch_size": 8, "projection_dim": 16, "heads": 2, "layers": 2, "mlp_units": 32}
NETWORKS: dict[str, tuple[int, dict[str, int], int]] = {  # image size, architecture, layers
    "mobilenet_v2": (32, {}, 139),
    "resnet18": (32, {}, 59),
    "efficientnet_b0": (64, {}, 212),
    "vit_b_16": (32, SMALL_VIT, 15),
}


def curves(
    name: str, counts: Iterable[int | None], epochs: int = 2
) -> Iterator[tuple[int | None, list[Metrics], list[Metrics]]]:
    """Yields, for each number of fine-tuned layers (None: all), the metrics per epoch with kept activations and without."""
    size, architecture, _ = NETWORKS[name]
    # Not Adam: it turns the rounding error of a zero gradient (a bias before batch statistics) into a whole step.
    settings = Settings.of(
        {"image_size": size, "batch_size": 8, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3} | architecture
    )
    task = ImageTask.of({"data": TINY, "model": {"name": name, "weights": "none"}})
    dataset = data.load(task.data, image_size=size)
    models = [FineTuning(replace(settings, reuse_activations=on), task, dataset, 0, epochs) for on in (True, False)]
    calibrate(models[0].model, models[0].machine.prepare(dataset.train.images))
    start = {key: value.clone() for key, value in models[0].model.state_dict().items()}
    for count in counts:
        kept, anew = (trained(model, start, count, epochs) for model in models)
        yield count, kept, anew


def trained(model: FineTuning, start: dict[str, Tensor], count: int | None, epochs: int) -> list[Metrics]:
    model.model.load_state_dict(start)
    model.settings, model.epoch, model._stage = replace(model.settings, finetuned_layers=count), 0, None
    rows = [model.train_epoch() for _ in range(epochs)]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor) -> None:
    """Sets batch statistics from real images and biases other than 0, as trained weights have them.

    In an untrained network values shrink to 1e-12, and with a bias of 0 the rounding decides whether a value passes a
    ReLU. Metrics would then consist of rounding errors, and no two ways of computing them would agree.
    """
    norms = [module for module in model.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    generator = torch.Generator().manual_seed(0)
    for norm in norms:
        norm.train().momentum = 1.0
        norm.bias.normal_(0, 0.3, generator=generator)
    model(images)
    for norm in norms:
        norm.momentum = 0.1


def farthest(kept: list[Metrics], anew: list[Metrics]) -> float:
    """Returns the largest difference of a metric in an epoch: absolute for values below 1, relative above."""
    return max(
        abs(row[key] - other[key]) / max(1.0, abs(other[key]))
        for row, other in zip(kept, anew, strict=True)
        for key in row | other
    )
