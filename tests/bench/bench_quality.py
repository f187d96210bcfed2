"""What fine-tuning reaches on real data, on a CPU: test accuracy against the bars.

    python tests/bench/bench_quality.py [clothing] [fashion]

clothing: random search over 60 epochs (5 configurations of 12) of MobileNetV2 at 96 px; the winner by validation
accuracy, with the weights of its best epoch, is tested once; bar 0.80. fashion: all layers of MobileNetV2 on 5,000
images of Fashion-MNIST at 64 px, 4 epochs; bar 0.86. Prints JSON, one line a trial.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import torch

from trainables.errors import Diverged
from trainables.image_classifier import ImageClassifier

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
MODEL = {"name": "mobilenet_v2", "weights": str(SHARED / "weights" / "mobilenet_v2-imagenet.pth")}
BEST = {"patience": 99, "metric": "val_accuracy", "mode": "max"}  # never stops, but tests the best epoch's weights
BUDGET, EPOCHS = 60, 12


def drawn(source: random.Random) -> dict[str, Any]:
    """A configuration of paper 001's space B, with cuts that a CPU can train."""
    return {
        "learning_rate": 10 ** source.uniform(-4, math.log10(0.03)),
        "dropout": source.uniform(0.01, 0.4),
        "optimizer": source.choice(["adam", "adadelta", "rmsprop", "sgd"]),
        "finetuned_layers": source.choice([9, 14, 18]),
        "batch_size": 16,
        "image_size": 96,
    }


def train(config: dict[str, Any], data: dict[str, Any], epochs: int) -> tuple[float, ImageClassifier | None]:
    """The best validation accuracy and the trainable; none where it diverged."""
    task = {"data": data, "model": MODEL, "early_stopping": BEST}
    model, began, curve = ImageClassifier(config, task=task, seed=0, max_epochs=epochs), time.perf_counter(), [0.0]
    try:
        for _ in range(epochs):
            curve.append(model.train_epoch()["val_accuracy"])
    except Diverged as error:
        print(json.dumps({"config": config, "failed": str(error)}), flush=True)
        return 0.0, None
    seconds = round(time.perf_counter() - began, 1)
    print(
        json.dumps({"config": config, "val_accuracy": [round(v, 4) for v in curve[1:]], "seconds": seconds}), flush=True
    )
    return max(curve), model


def clothing() -> dict[str, Any]:
    source = random.Random(0)
    best: tuple[float, ImageClassifier | None] = (0.0, None)
    for _ in range(BUDGET // EPOCHS):
        best = max(
            best,
            train(drawn(source), {"name": "image_folder", "root": str(SHARED / "clothing-small")}, EPOCHS),
            key=lambda b: b[0],
        )
    assert best[1] is not None, "every configuration diverged"
    return {
        "data": "clothing-small",
        "val_accuracy": best[0],
        "test_accuracy": best[1].test()["test_accuracy"],
        "bar": 0.80,
    }


def fashion() -> dict[str, Any]:
    data = {"name": "fashion_mnist", "root": str(SHARED / "fashion-mnist"), "train": 5000, "validation": 1000}
    config = {
        "learning_rate": 3e-3,
        "schedule": "one_cycle",
        "finetuned_layers": "all",
        "batch_size": 32,
        "image_size": 64,
    }
    value, model = train(config, data, 4)
    assert model is not None, "it diverged"
    return {
        "data": "fashion_mnist, 5,000 images",
        "val_accuracy": value,
        "test_accuracy": model.test()["test_accuracy"],
        "bar": 0.86,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["clothing", "fashion", []], default=["clothing", "fashion"])
    torch.set_num_threads(1)
    for part in parser.parse_args().parts:
        print(json.dumps({"clothing": clothing, "fashion": fashion}[part]()), flush=True)


if __name__ == "__main__":
    main()
