"""What image_classifier declares an epoch to cost, against the CPU seconds that it takes on one thread.

    python tests/bench/bench_cost.py [--quick] [--json FILE] [--layers 0 9 18 36 all] [--models mobilenet_v2 resnet18]

Two backbones without pretrained weights, on handwritten digits, over cuts, image sizes, optimizers and batch sizes, with and
without kept activations, with adapters, mixed images, moving averages, accumulated gradients, the closed form of the head,
and larger test images. Each configuration trains one epoch that is not measured, which fills the caches, and then others,
of which the fastest counts. The declared costs come from `epoch_cost` alone. Its three constants (trainables/costs.py) were
fitted once to such figures of the two backbones; --models takes others, which it has never seen.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from rows import Row, command, row, save, tell
from scipy.stats import spearmanr

from hpo.study.space import Choice
from trainables.image_classifier import ImageClassifier

MODELS, LAYERS, SIZES = ("mobilenet_v2", "resnet18"), ("0", "9", "18", "36", "all"), (48, 96)
IMAGES, BATCH, TURNS = 64, 16, 2
RECIPES: tuple[dict[str, Any], ...] = (
    {"lora_rank": 4}, {"lora_rank": 32}, {"accumulation_steps": 4}, {"ema_decay": 0.99}, {"mixup_alpha": 0.2},
    {"test_image_size": SIZES[-1]},
)  # fmt: skip
PROBES: tuple[dict[str, Any], ...] = (
    {"optimizer": "ridge", "weight_decay": 0.1}, {"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0},
    {"test_image_size": SIZES[-1]},
)  # fmt: skip
BAR = 0.9  # the rank correlation, on each backbone

Config = dict[str, Any]


def task(model: str) -> dict[str, Any]:
    data = {"name": "digits", "train": IMAGES, "validation": IMAGES // 4}
    return {"trainable": "image_classifier", "data": data, "model": {"name": model, "weights": "none"}}


def configs(layers: Sequence[str]) -> Iterator[Config]:
    """Yields cuts x sizes x optimizers, then two cuts with other batch sizes and without kept activations, then recipes."""
    for size in SIZES:
        for cut in layers:
            for optimizer in ("sgd", "adam"):
                yield {"image_size": size, "finetuned_layers": cut, "optimizer": optimizer, "batch_size": BATCH}
    for cut in (layers[0], layers[-1]):
        base: Config = {"image_size": SIZES[0], "finetuned_layers": cut, "optimizer": "adam"}
        yield {**base, "batch_size": 4 * BATCH}
        yield {**base, "batch_size": BATCH, "reuse_activations": False}
    usual: Config = {"image_size": SIZES[0], "batch_size": BATCH, "optimizer": "adam"}
    for recipe in RECIPES:
        yield {**usual, "finetuned_layers": layers[-1], **recipe}
    for probe in PROBES:
        yield {**usual, "finetuned_layers": layers[0], **probe}


def seconds(model: str, config: Config, turns: int) -> float:
    """Returns the CPU seconds of the fastest of `turns` epochs, after one that does not count."""
    made = ImageClassifier(config, task=task(model), seed=0, max_epochs=turns + 1)
    made.train_epoch()
    found = []
    for _ in range(turns):
        began = time.process_time()
        made.train_epoch()
        found.append(time.process_time() - began)
    return min(found)


def measured(model: str, layers: Sequence[str], turns: int) -> list[tuple[Config, float, float]]:
    """Returns every configuration with its declared cost and its seconds."""
    space = {"image_size": Choice(SIZES)}
    found = []
    for config in configs(layers):
        cost = ImageClassifier.epoch_cost(config, task=task(model), space=space)
        found.append((config, cost, seconds(model, config, turns)))
    return found


def rows(model: str, found: Sequence[tuple[Config, float, float]]) -> list[Row]:
    cost, took = np.array([c for _, c, _ in found]), np.array([s for _, _, s in found])
    rank = float(spearmanr(cost, took).statistic)
    pace = took / cost
    off = np.exp(np.abs(np.log(pace / np.exp(np.log(pace).mean()))))
    name = f"{model}, {len(found)} configurations"
    return [
        row(f"{name}: rank correlation of cost and seconds", [rank], "", f">= {BAR}", ok=rank >= BAR),
        row(f"{name}: seconds for a cost of 1", pace, "s"),
        row(f"{name}: factor between a cost and its seconds", off, "x"),
        row(f"{name}: dearest over cheapest, measured", [took.max() / took.min()], "x"),
        row(f"{name}: dearest over cheapest, declared", [cost.max() / cost.min()], "x"),
    ]


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--points", type=Path, metavar="FILE", help="write each configuration's cost and seconds here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("HPO_CACHE", cache)
        found = {m: measured(m, given.layers, 1 if given.quick else TURNS) for m in given.models}
    if given.points:
        save(given.points, found)
    tell([r for model, points in found.items() for r in rows(model, points)], given.json)


if __name__ == "__main__":
    main()
