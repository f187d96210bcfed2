"""The training loop that a careful practitioner writes in plain PyTorch: the side that our speed is compared with.

Images are decoded once to bytes and stay in memory; a DataLoader's worker processes normalize them and fill pinned batches
ahead of the steps; bf16 autocast, channels last, a fused optimizer where torch has one, no gradients and evaluation mode
for the frozen part, metrics summed up on the device. No torch.compile, no CUDA graphs, nothing kept of the frozen part.
On a CPU it computes in float32: most CPUs only emulate bf16.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from trainables import backbones
from trainables.pretrained import IMAGENET_MEAN, IMAGENET_STD
from trainables.untraced import network_of

PREFETCH = 4  # batches that each worker process fills ahead
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True}),
    "adadelta": (torch.optim.Adadelta, {}),  # torch has no fused one
    "rmsprop": (torch.optim.RMSprop, {}),
}


def plain_epochs(
    root: Path,
    *,
    model: str,
    image_size: int,
    batch_size: int,
    layers: int | None,
    optimizer: str,
    learning_rate: float,
    dropout: float,
    epochs: int,
    workers: int,
) -> list[float]:
    """Returns the seconds of each of `epochs` epochs, training and validation, after one that is not counted.

    `root` is an image folder with train/ and validation/; `layers` counts as finetuned_layers does, None for all.
    """
    loop = PlainLoop(
        root, model=model, image_size=image_size, batch_size=batch_size, layers=layers, optimizer=optimizer,
        learning_rate=learning_rate, dropout=dropout, workers=workers,
    )  # fmt: skip
    loop.epoch()
    seconds = []
    for _ in range(epochs):
        began = time.perf_counter()
        loop.epoch()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


class PlainLoop:
    """A model, its optimizer and its data; each `epoch` trains and validates once. `images` is the number trained on."""

    def __init__(
        self,
        root: Path,
        *,
        model: str,
        image_size: int,
        batch_size: int,
        layers: int | None,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        dropout: float = 0.2,
        workers: int = 8,
        seed: int = 0,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        train, validation = (Normalized(root / name, image_size) for name in ("train", "validation"))
        self.images = len(train)
        self.model = backbones.build(
            model, len(train.classes), weights="none", image_size=image_size, dropout=dropout, seed=seed
        )
        network = network_of(self.model, image_size)
        cut = network.cut(layers)
        self._modules = list(network.trained_modules(cut))
        self.model.requires_grad_(False)
        for name in network.trained(cut):
            self.model.get_parameter(name).requires_grad_()
        self.model.to(self.device).to(memory_format=torch.channels_last)
        kind, options = OPTIMIZERS[optimizer]
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = kind(trained, lr=learning_rate, **options)  # type: ignore[call-arg]
        options = {"batch_size": batch_size, "num_workers": workers, "pin_memory": self.device.type == "cuda"}
        if workers:
            # Forked, as by default on Linux: inside a spawned process they would be spawned, which takes seconds.
            options |= {"persistent_workers": True, "prefetch_factor": PREFETCH, "multiprocessing_context": "fork"}
        order = torch.Generator().manual_seed(seed)
        single = len(train) % batch_size == 1  # batch statistics need two
        self._train = DataLoader(train, shuffle=True, generator=order, drop_last=single, **options)
        self._validation = DataLoader(validation, **options)

    def epoch(self) -> dict[str, float]:
        """Returns loss and accuracy on the training images, as trained, and on the validation images."""
        self.model.eval()
        for module in self._modules:
            module.train()
        metrics = self._measured(
            (self._step(images, labels), labels) for images, labels in self._on_device(self._train)
        )
        self.model.eval()
        with torch.inference_mode():
            found = self._measured(
                (self._forward(images, labels), labels) for images, labels in self._on_device(self._validation)
            )
        return metrics | {f"val_{name}": value for name, value in found.items()}

    def _on_device(self, loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in loader:
            moved = images.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            yield moved, labels.to(self.device, non_blocking=True)

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self._optimizer.zero_grad(set_to_none=True)
        loss, logits = self._forward(images, labels)
        loss.backward()
        self._optimizer.step()
        return loss.detach(), logits.detach()

    def _forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.model(images)
            return cross_entropy(logits, labels), logits

    def _measured(self, batches: Iterator[tuple[tuple[Tensor, Tensor], Tensor]]) -> dict[str, float]:
        """Mean loss and accuracy: summed up on the device, read once."""
        total, hits, count = torch.zeros((), device=self.device), torch.zeros((), device=self.device), 0
        for (loss, logits), labels in batches:
            total += loss * len(labels)
            hits += (logits.argmax(1) == labels).sum()
            count += len(labels)
        return {"loss": float(total) / count, "accuracy": float(hits) / count}


class Normalized(Dataset[tuple[Tensor, int]]):
    """The images of a folder, decoded once in this process: float32 [3, S, S], normalized, with their class numbers."""

    def __init__(self, folder: Path, size: int) -> None:
        self._pixels, self._labels, self.classes = decoded(folder, size)
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        self._scale, self._shift = 1 / (255 * std), -mean / std

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._pixels[index].float().mul_(self._scale).add_(self._shift), self._labels[index]


@lru_cache(maxsize=4)
def decoded(folder: Path, size: int) -> tuple[Tensor, list[int], list[str]]:
    """Returns an image folder's pixels, uint8 [N, 3, S, S], with class numbers and names; each folder is read once."""
    found = ImageFolder(str(folder), v2.Compose([v2.Resize((size, size)), v2.PILToTensor()]))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        pixels = torch.stack(list(threads.map(lambda i: found[i][0], range(len(found)))))
    return pixels, list(found.targets), list(found.classes)
