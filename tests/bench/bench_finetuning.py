"""Fine-tuning's speed on CPUs against a plain PyTorch loop, side by side in one run, one thread each.

    python tests/bench/bench_finetuning.py [--data FOLDER] [--weights FILE] [--epochs 3] [--plain-epochs 2] [-o FILE]

MobileNetV2 at 96 px, batch 16, Adam, on an image folder with train/ and validation/. The plain loop: ImageFolder,
DataLoader, requires_grad=False on the frozen part. Epochs take turns, so that whatever else the machine does hits
both. Prints a table to stderr and JSON to stdout: training images per second of epochs after the first, medians, in
wall-clock and in CPU time (which a busy machine disturbs less), and the private memory of a second worker.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from trainables import backbones
from trainables.image_classifier import ImageClassifier
from trainables.network import Network

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SIZE, BATCH, TRIAL = 96, 16, 25
BARS = {"0": 50.0, "9": 4.0, "18": 3.0, "all": 1.1}
WHOLE_TRIAL_BAR = 12.0  # at 0, with the first epoch, over 25 epochs
MEMORY_BAR_MB = 300
Seconds = tuple[float, float]  # wall clock, CPU


def timed(work: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def plain_loop(root: Path, weights: str, layers: str) -> Callable[[], None]:
    """An epoch of training and validation as one would write it first."""
    transform = v2.Compose(
        [
            v2.Resize((SIZE, SIZE)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(backbones.IMAGENET_MEAN, backbones.IMAGENET_STD),
        ]
    )
    train = torchvision.datasets.ImageFolder(root / "train", transform)
    validation = torchvision.datasets.ImageFolder(root / "validation", transform)
    loader, check = DataLoader(train, BATCH, shuffle=True), DataLoader(validation, BATCH)
    model = backbones.build("mobilenet_v2", len(train.classes), weights=weights, dropout=0.2)
    network = Network(model, SIZE)
    trained = set(network.trained(network.cut(None if layers == "all" else int(layers))))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-3)

    def epoch() -> None:
        model.train()
        for images, labels in loader:
            loss = cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for images, labels in check:
                float((model(images).argmax(1) == labels).sum())

    return epoch


def classifier(root: Path, weights: str, layers: str) -> ImageClassifier:
    task = {
        "data": {"name": "image_folder", "root": str(root)},
        "model": {"name": "mobilenet_v2", "weights": weights},
    }
    config = {
        "image_size": SIZE,
        "batch_size": BATCH,
        "finetuned_layers": layers,
        "learning_rate": 1e-3,
        "dropout": 0.2,
    }
    return ImageClassifier(config, task=task, seed=0, max_epochs=TRIAL)


def compare(root: Path, weights: str, layers: str, epochs: int, plain_epochs: int) -> dict[str, Any]:
    """One row: both sides in turns. Our first epoch starts from nothing but the files."""
    made: list[ImageClassifier] = []
    ours = [timed(lambda: made.append(classifier(root, weights, layers)) or made[0].train_epoch())]  # type: ignore[func-returns-value]
    loop = plain_loop(root, weights, layers)
    plain: list[Seconds] = []
    for turn in range(max(epochs, plain_epochs)):
        if turn < plain_epochs:
            plain.append(timed(loop))
        if turn < epochs:
            ours.append(timed(made[0].train_epoch))
    images = len(made[0].models[0].dataset.train)
    row: dict[str, Any] = {"finetuned_layers": layers, "bar": BARS[layers]}
    for index, clock in enumerate(("wall", "cpu")):
        later = statistics.median(seconds[index] for seconds in ours[1:])
        each = statistics.median(seconds[index] for seconds in plain)
        trial = ours[0][index] + (TRIAL - 1) * later
        row[clock] = {
            "ours_per_second": round(images / later, 1),
            "plain_per_second": round(images / each, 1),
            "ratio": round(each / later, 2),
            "first_epoch_seconds": round(ours[0][index], 2),
            "trial_ratio": round(TRIAL * each / trial, 2),
        }
    return row


_WORKER = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import bench_finetuning as bench
if sys.argv[4] != "idle":
    model = bench.classifier(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    model.train_epoch()
kinds = ("Private_Clean:", "Private_Dirty:")
lines = [line.split() for line in open("/proc/self/smaps_rollup")]
print(sum(int(line[1]) for line in lines if line[0] in kinds) // 1024, flush=True)
sys.stdin.read()
"""


def second_worker(root: Path, weights: str, layers: str) -> dict[str, Any]:
    """Private memory (USS) in MB of an idle worker and of a second training one, each beside others like it."""
    command = [sys.executable, "-c", _WORKER, str(Path(__file__).parent), str(root), weights]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    found, workers = {}, []
    for what in ("idle", "idle", layers, layers):
        worker = subprocess.Popen([*command, what], **pipes)
        workers.append(worker)
        assert worker.stdout is not None
        found[what] = int(worker.stdout.readline())  # the later one of a kind counts
    for worker in workers:
        worker.communicate("")
    return {
        "finetuned_layers": layers,
        "idle_mb": found["idle"],
        "mb": found[layers],
        "adds_mb": found[layers] - found["idle"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "clothing-small")
    parser.add_argument("--weights", default=str(SHARED / "weights" / "mobilenet_v2-imagenet.pth"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--plain-epochs", type=int, default=2)
    parser.add_argument("--layers", nargs="+", default=list(BARS))
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if not arguments.data.is_dir() or not Path(arguments.weights).is_file():
        raise SystemExit(f"{arguments.data} and {arguments.weights} must exist; name others with --data and --weights")
    torch.set_num_threads(1)
    rows = []
    for layers in arguments.layers:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["HPO_CACHE"] = cache
            rows.append(compare(arguments.data, arguments.weights, layers, arguments.epochs, arguments.plain_epochs))
        for clock in ("wall", "cpu"):
            print(layers, clock, rows[-1][clock], f"bar {BARS[layers]}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HPO_CACHE"] = cache
        memory = [second_worker(arguments.data, arguments.weights, layers) for layers in ("9", "all")]
    result = {"rows": rows, "trial_bar_at_0": WHOLE_TRIAL_BAR, "second_worker": memory, "memory_bar_mb": MEMORY_BAR_MB}
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
