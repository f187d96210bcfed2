"""The speed of fine-tuning on a CPU compared with a plain PyTorch loop, side by side in one run, one thread each.

    python tests/bench/bench_finetuning.py [--quick] [--json FILE] [--layers 0 9 18 all] [--data FOLDER] [--weights FILE]

MobileNetV2 at 96 px, batch 16, Adam, on an image folder with train/ and validation/. The plain loop: ImageFolder,
DataLoader, requires_grad=False on the frozen part. Both validate after each epoch, and their epochs take turns, so that
other load on the machine hits both. Measured: training images per second after the first epoch, in wall-clock time and in
CPU time (which a busy machine disturbs less); a whole trial with its first epoch, which starts from the files alone; the
private memory of a second worker. With --quick the plain loop sees a sixth of the images: its time per image does not
depend on their number.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, show, tell

from trainables import backbones
from trainables.image_classifier import ImageClassifier
from trainables.network import Network
from trainables.pretrained import IMAGENET_MEAN, IMAGENET_STD

SHARED = ROOT.parent / "shared" / "data"
DATA, WEIGHTS = SHARED / "clothing-small", SHARED / "weights" / "mobilenet_v2-imagenet.pth"
SIZE, BATCH, TRIAL = 96, 16, 25
BARS = {"0": 50.0, "9": 4.0, "18": 3.0, "all": 1.1}
WHOLE_TRIAL_BAR = 12.0  # at 0, with the first epoch, over 25 epochs
MEMORY_BAR_MB = 300
Seconds = tuple[float, float]  # wall clock, CPU


def timed(work: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def plain_loop(root: Path, weights: str, layers: str, share: int) -> Callable[[], None]:
    """Returns an epoch of training and validation as one would first write it, on every `share`-th image."""
    transform = v2.Compose(
        [
            v2.Resize((SIZE, SIZE)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    train = torchvision.datasets.ImageFolder(root / "train", transform)
    validation = torchvision.datasets.ImageFolder(root / "validation", transform)
    loader, check = DataLoader(_part(train, share), BATCH, shuffle=True), DataLoader(_part(validation, share), BATCH)
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


def _part(images: Dataset[Any], share: int) -> Subset[Any]:
    return Subset(images, range(0, len(images), share))  # type: ignore[arg-type]


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


def compare(root: Path, weights: str, layers: str, quick: bool) -> list[Row]:
    """Returns the rows of one number of layers; both sides take turns."""
    share, turns = (6, 1) if quick else (1, 2)
    ours, plain = [], []
    made: list[ImageClassifier] = []

    def first() -> None:
        made.append(classifier(root, weights, layers))
        made[0].train_epoch()

    beginning = timed(first)
    loop = plain_loop(root, weights, layers, share)
    for _ in range(turns):
        plain.append(timed(loop))
        ours += [timed(made[0].train_epoch) for _ in range(2)]
    dataset = made[0].models[0].dataset
    images = len(dataset.train)
    part = math.ceil(images / share)
    found = []
    for clock, name in enumerate(("", ", CPU time")):
        mine = [images / seconds[clock] for seconds in ours]
        theirs = [part / seconds[clock] for seconds in plain]
        what = f"finetuned_layers {layers}{name}"
        ratios = [a / b for a, b in zip(mine, (t for t in theirs for _ in range(2)), strict=True)]
        found.append(row(f"images per second / a plain loop's, {what}", ratios, "ratio", f"at least {BARS[layers]}"))
        trial = beginning[clock] + (TRIAL - 1) * images / statistics.median(mine)
        bar = f"at least {WHOLE_TRIAL_BAR}" if layers == "0" else ""
        whole = [TRIAL * images / t / trial for t in theirs]
        found.append(row(f"{TRIAL} epochs with the first / a plain loop's, {what}", whole, "ratio", bar))
        found.append(row(f"images per second, {what}", mine, "images/s"))
        found.append(row(f"images per second of the plain loop, {what}", theirs, "images/s"))
        found.append(row(f"first epoch, {what}", [beginning[clock]], "s"))
    return found


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


def second_worker(root: Path, weights: str, layers: str) -> list[Row]:
    """Returns the private memory (USS) of a second training worker beyond that of an idle one, each beside one like it."""
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
    return [
        row(f"a second worker beyond an idle one, finetuned_layers {layers}", [found[layers] - found["idle"]], "MB",
            f"at most {MEMORY_BAR_MB}", idle=found["idle"], training=found[layers]),
    ]  # fmt: skip


def in_cache_of_its_own(measure: Callable[..., list[Row]], *arguments: Any) -> list[Row]:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HPO_CACHE"] = cache
        return measure(*arguments)


def main(
    quick: bool = False, layers: Sequence[str] = tuple(BARS), data: Path = DATA, weights: str = str(WEIGHTS)
) -> list[Row]:
    """Returns the bench's rows."""
    if not data.is_dir() or not Path(weights).is_file():
        raise SystemExit(f"{data} and {weights} must exist, but do not; name others with --data and --weights")
    torch.set_num_threads(1)
    found = []
    for count in layers:
        found += in_cache_of_its_own(compare, data, weights, count, quick)
        show(found[-10:])
    for count in ("9", "all"):
        if count in layers:
            found += in_cache_of_its_own(second_worker, data, weights, count)
    return found


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--layers", nargs="+", choices=list(BARS), default=list(BARS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--weights", default=str(WEIGHTS))
    given = parser.parse_args()
    tell(main(given.quick, given.layers, given.data, given.weights), given.json)
