"""Fine-tuning on a GPU compared with a plain PyTorch loop on the same card: images per second, and waits in an epoch.

    python tests/bench/bench_gpu.py [--quick] [--json FILE] [--data FOLDER] [--epochs 4] [--workers 8]

The folder holds train/CLASS/*.jpg and validation/CLASS/*.jpg. Both sides train on the same images with the same batch
size and optimizer, and validate after each epoch. The plain loop: ImageFolder, DataLoader with worker processes, float32,
the whole model in training mode, requires_grad=False on frozen parameters. With --quick one model and two epochs. Without
a GPU the only row says so.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, show, tell

from trainables import backbones, data
from trainables.fine_tuning import FineTuning
from trainables.network import Network
from trainables.pretrained import IMAGENET_MEAN, IMAGENET_STD
from trainables.sections import ImageTask
from trainables.settings import Settings

DATA = ROOT.parent / "shared" / "data" / "clothing-small"
CASES = [("mobilenet_v2", 96, 32), ("resnet50", 160, 64), ("efficientnet_v2_s", 160, 64)]


def timed(epoch: Callable[[], Any], epochs: int) -> list[float]:
    """Returns the seconds of each epoch, including the GPU's work."""
    seconds = []
    for _ in range(epochs):
        began = time.perf_counter()
        epoch()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def plain_loop(root: Path, name: str, size: int, batch: int, layers: int | None, workers: int) -> Callable[[], None]:
    """Returns one epoch of a loop as one would first write it."""
    transform = v2.Compose(
        [
            v2.Resize((size, size)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    train = torchvision.datasets.ImageFolder(root / "train", transform)
    validation = torchvision.datasets.ImageFolder(root / "validation", transform)
    options: dict[str, Any] = {
        "batch_size": batch,
        "num_workers": workers,
        "pin_memory": True,
        "persistent_workers": True,
    }
    loader, check = DataLoader(train, shuffle=True, **options), DataLoader(validation, **options)
    model = backbones.build(name, len(train.classes), image_size=size, dropout=0.2)
    trained = set(_trained(model, size, layers))
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter_name in trained)
    model.cuda()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-3)

    def epoch() -> None:
        model.train()
        for images, labels in loader:
            images, labels = images.cuda(non_blocking=True), labels.cuda(non_blocking=True)
            loss = cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for images, labels in check:
                float((model(images.cuda()).argmax(1) == labels.cuda()).sum())

    return epoch


def _trained(model: nn.Module, size: int, layers: int | None) -> list[str]:
    network = Network(model, size)
    return network.trained(network.cut(layers))


def ours(root: Path, name: str, size: int, batch: int, layers: int | None, **more: Any) -> FineTuning:
    about = {"name": "image_folder", "root": str(root)}
    settings = Settings(image_size=size, batch_size=batch, finetuned_layers=layers, **more)
    task = ImageTask.of({"data": about, "model": {"name": name, "weights": "none"}})
    return FineTuning(settings, task, data.load(task.data, image_size=size), 0, 100)


def waits(model: FineTuning) -> int:
    """Returns how often the CPU waits for the GPU in a training epoch's steps, as torch reports it."""
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model._train()
    torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def compare(root: Path, case: tuple[str, int, int], layers: int | None, epochs: int, workers: int) -> list[Row]:
    """Returns the rows of one model and one number of layers."""
    name, size, batch = case
    model = ours(root, name, size, batch, layers, bf16=True)
    images = len(model.dataset.train)
    mine = [images / seconds for seconds in timed(model.train_epoch, epochs)[1:]]
    waited = waits(model)
    loop = plain_loop(root, name, size, batch, layers, workers)
    plain = [images / seconds for seconds in timed(loop, epochs)[1:]]
    what = f"{name}, {size} px, batch {batch}, finetuned_layers {'all' if layers is None else layers}"
    found = [
        row(f"images per second / a plain loop's, {what}", [a / statistics.median(plain) for a in mine], "ratio"),
        row(f"images per second, {what}", mine, "images/s"),
        row(f"images per second of the plain loop, {what}", plain, "images/s"),
        row(f"waits for the GPU in an epoch's {-(-images // batch)} steps, {what}", [waited], "count"),
    ]
    if layers is None:
        other = ours(root, name, size, batch, layers, channels_last=False)
        seconds = timed(other.train_epoch, epochs)[1:]
        found.append(row(f"images per second, float32, contiguous, {what}", [images / s for s in seconds], "images/s"))
    return found


def main(quick: bool = False, root: Path = DATA, epochs: int = 4, workers: int = 8) -> list[Row]:
    """Returns the bench's rows."""
    if not torch.cuda.is_available():
        return [row("no GPU found: nothing measured", [0], "GPUs")]
    cases, epochs = (CASES[:1], 2) if quick else (CASES, epochs)
    found = []
    for case in cases:
        for layers in (None, 9, 0):
            found += compare(root, case, layers, epochs, workers)
            show(found[-5:])
    return found


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    tell(main(given.quick, given.data, given.epochs, given.workers), given.json)
