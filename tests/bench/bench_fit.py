"""How photographs become squares: squeezed whole or cropped to their middle, by the accuracy that each gives.

    python tests/bench/bench_fit.py [--quick] [--json FILE] [--sizes 96 160] [--seeds 0 1 2 3 4]

MobileNetV2 with ImageNet weights on clothing-small, its head alone, one CPU thread: in closed form (optimizer ridge; the best
weight decay by validation accuracy is tested), and by 15 epochs of Adam for each seed. Rows give test accuracies, and the
difference of crop from squeeze seed by seed. With --quick 96 px and two seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench_recipe import DATA, MODEL
from rows import Row, command, row, tell

from trainables.image_classifier import ImageClassifier

DECAYS = (0.003, 0.01, 0.03, 0.1, 0.3)
EPOCHS = 15


def accuracies(config: dict[str, Any], fit: str, size: int, epochs: int, seed: int = 0) -> tuple[float, float]:
    """Returns the accuracy on validation and test images after the last epoch."""
    task = {"data": {**DATA, "fit": fit}, "model": MODEL}
    model = ImageClassifier({"image_size": size, **config}, task=task, seed=seed, max_epochs=epochs)
    metrics = [model.train_epoch() for _ in range(epochs)][-1]
    found = metrics["val_accuracy"], model.test()["test_accuracy"]
    print(f"{fit}, {size} px, {config}, seed {seed}: {found}", file=sys.stderr, flush=True)
    return found


def compare(size: int, seeds: Sequence[int]) -> list[Row]:
    """Returns the rows of one size."""
    adam = {"learning_rate": 1e-3, "batch_size": 16, "schedule": "cosine"}
    rows, trained = [], {}
    for fit in ("squeeze", "crop"):
        ridge = [accuracies({"optimizer": "ridge", "weight_decay": w}, fit, size, 1) for w in DECAYS]
        best = max(ridge)
        trained[fit] = [accuracies(adam, fit, size, EPOCHS, seed) for seed in seeds]
        rows += [
            row(f"{fit}, {size} px, ridge: validation", [best[0]], "accuracy"),
            row(f"{fit}, {size} px, ridge: test", [best[1]], "accuracy"),
            row(f"{fit}, {size} px, Adam: validation", [v for v, _ in trained[fit]], "accuracy"),
            row(f"{fit}, {size} px, Adam: test", [t for _, t in trained[fit]], "accuracy"),
        ]
    pairs = list(zip(trained["crop"], trained["squeeze"], strict=True))
    both = [(a[0] + a[1] - b[0] - b[1]) / 2 for a, b in pairs]
    return [*rows, row(f"crop - squeeze, {size} px, Adam: mean of validation and test", both, "accuracy")]


def main(quick: bool = False, sizes: Sequence[int] = (96, 160), seeds: Sequence[int] = (0, 1, 2, 3, 4)) -> list[Row]:
    """Returns the bench's rows."""
    torch.set_num_threads(1)
    return [found for size in (sizes[:1] if quick else sizes) for found in compare(size, seeds[:2] if quick else seeds)]


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=[96, 160])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    tell(main(given.quick, given.sizes, given.seeds), given.json)
