"""The test accuracy of fine-tuning on real data, with one CPU thread, against fixed bars.

    python tests/bench/bench_quality.py [--quick] [--json FILE] [--only clothing fashion] [--seeds 0]

clothing: random search over 60 epochs of the study `clothing` (4 configurations of 15 epochs), MobileNetV2 at 96 px; the
winner by validation accuracy is tested once, with the weights of its best epoch. fashion: all layers of MobileNetV2 on
5,000 images of Fashion-MNIST at 64 px, 2 epochs. Prints one line per trial to stderr. With --quick 12 epochs of the search
(3 of 4), and 1,000 images for 1 epoch; the bars stay those of the full size.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, tell

from hpo.study.study import Study
from trainables.errors import Diverged
from trainables.image_classifier import ImageClassifier

FASHION = ROOT.parent / "shared" / "data" / "fashion-mnist"
CLOTHING_BAR, FASHION_BAR = 0.80, 0.86
BEST = {"patience": 99, "metric": "val_accuracy", "mode": "max"}  # never stops, and tests the best epoch's weights


def train(config: dict[str, Any], task: dict[str, Any], epochs: int) -> tuple[float, ImageClassifier | None]:
    """Trains; returns the best validation accuracy and the trainable, or 0 and None if it diverged."""
    began, curve = time.perf_counter(), [0.0]
    model = ImageClassifier(config, task={**task, "early_stopping": BEST}, seed=0, max_epochs=epochs)
    try:
        curve += [model.train_epoch()["val_accuracy"] for _ in range(epochs)]
    except Diverged as error:
        print(f"{config}: {error}", file=sys.stderr, flush=True)
        return 0.0, None
    seconds = time.perf_counter() - began
    shown = " ".join(f"{value:.3f}" for value in curve[1:])
    print(f"{config}: {shown} in {seconds:.0f} s", file=sys.stderr, flush=True)
    return max(curve), model


def clothing(seed: int, quick: bool) -> list[Row]:
    """Returns rows of the best trial of a random search over the study's own space."""
    study = Study.load("clothing")
    most = study.budget.max_epochs
    epochs, configurations = (4, 3) if quick else (most, study.budget.epochs // most)
    rng = np.random.default_rng(seed)
    drawn = [{**study.fixed, **study.space.sample(rng)} for _ in range(configurations)]
    began = time.perf_counter()
    trained = [train(config, study.located(), epochs) for config in drawn]
    minutes = (time.perf_counter() - began) / 60
    value, best = max(trained, key=lambda pair: pair[0])
    assert best is not None, "at least one configuration must converge, but all diverged"
    test = best.test()["test_accuracy"]
    what = f"clothing-small, best of random search over {epochs * configurations} epochs, seed {seed}"
    return [
        row(f"{what}: test", [test], "accuracy", f"at least {CLOTHING_BAR}"),
        row(f"{what}: validation", [value], "accuracy"),
        row(f"{what}: duration", [minutes], "minutes"),
    ]


def fashion(seed: int, quick: bool) -> list[Row]:
    """Returns rows of full fine-tuning with the one-cycle schedule."""
    images, epochs = (1000, 1) if quick else (5000, 2)
    data = {"name": "fashion_mnist", "root": str(FASHION), "train": images, "validation": images // 5}
    config = {
        "learning_rate": 3e-3,
        "schedule": "one_cycle",
        "finetuned_layers": "all",
        "batch_size": 32,
        "image_size": 64,
    }
    value, model = train(config, {"data": data, "model": Study.load("clothing").located()["model"]}, epochs)
    assert model is not None, "it diverged"
    what = f"Fashion-MNIST, {images:,} images, all layers, {epochs} epochs"
    return [
        row(f"{what}: test", [model.test()["test_accuracy"]], "accuracy", f"at least {FASHION_BAR}"),
        row(f"{what}: validation", [value], "accuracy"),
    ]


PARTS = {"clothing": clothing, "fashion": fashion}


def main(quick: bool = False, only: Sequence[str] = tuple(PARTS), seeds: Sequence[int] = (0,)) -> list[Row]:
    """Returns the bench's rows."""
    torch.set_num_threads(1)
    return [found for part in only for seed in seeds for found in PARTS[part](seed, quick)]


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="seeds of the random search")
    given = parser.parse_args()
    tell(main(given.quick, given.only, given.seeds), given.json)
