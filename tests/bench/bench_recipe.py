"""The usual recipe of fine-tuning against settings without it, on real photographs: a paired test over seeds.

    python tests/bench/bench_recipe.py [--quick] [--json FILE] [--arms preset recipe] [--seeds 0 1 2 3 4] [--size 160]
                                       [--epochs 15] [--results FILE]

MobileNetV2 from ImageNet weights on clothing-small, one CPU thread. All arms train the same epochs with the same batches, and
the last epoch's weights are tested. "preset" is the best point of the grid of the preset `clothing`, the best that the project
had before the recipe's settings existed. "plain" is what a practitioner makes of those settings: all layers, the middle of each
photograph, flips and shifts. --results keeps what is finished, and a checkpoint of each epoch lies beside it: the command can
be stopped and given again. --arms may name any of ARMS, and the first is compared with each other one. With --quick 96 px, 6
epochs and one seed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, save, tell
from scipy import stats

from trainables.image_classifier import ImageClassifier

SHARED = ROOT.parent / "shared" / "data"
DATA = {
    "name": "image_folder",
    "root": str(SHARED / "clothing-small"),
    "fit": "crop",
}  # better for a head alone: bench_fit.py
MODEL = {"name": "mobilenet_v2", "weights": str(SHARED / "weights" / "mobilenet_v2-imagenet.pth")}
COMMON = {"finetuned_layers": "all", "batch_size": 32, "label_smoothing": 0.1, "optimizer": "adamw"}
ONE_CYCLE = {"schedule": "one_cycle", "learning_rate": 1e-3, "weight_decay": 0.01}
COSINE = {"schedule": "cosine", "warmup_epochs": 2, "learning_rate": 3e-3, "weight_decay": 0.05}
NO_DECAY = {"norm_weight_decay": 0.0, "bias_weight_decay": 0.0}
SHIFTS = {"fit": "squeeze", "augment": "flips_crops"}
CROPS = {"fit": "squeeze", "augment": "random_resized_crop"}

RECIPE = {**COSINE, **NO_DECAY, "layer_decay": 0.8, "dropout": 0.3, "mixup_alpha": 0.2, "ema_decay": 0.99}

ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # the data section's keys, the configuration's
    "preset": ({"fit": "squeeze"}, {**ONE_CYCLE, "learning_rate": 3e-3, "finetuned_layers": 35, "dropout": 0.3}),
    "plain": ({"augment": "flips_crops"}, ONE_CYCLE),
    "plain, no augmentation": ({}, ONE_CYCLE),
    "recipe": (SHIFTS, RECIPE),
    "recipe, no mixup": (SHIFTS, {**RECIPE, "mixup_alpha": 0.0}),
    "recipe, no average": (SHIFTS, {**RECIPE, "ema_decay": 0.0}),
    "recipe, cutmix": (SHIFTS, {**RECIPE, "cutmix_alpha": 1.0}),
    "recipe, one rate": (SHIFTS, {**RECIPE, "layer_decay": 1.0}),
    "recipe, random crops": (CROPS, {**RECIPE, "crop_scale": 0.35}),
    "recipe, middle": ({**SHIFTS, "fit": "crop"}, RECIPE),
}


MEASURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "test accuracy": lambda r: r["test"]["test_accuracy"],
    "test loss": lambda r: r["test"]["test_loss"],
    "accuracy on 341 validation and 372 test images": lambda r: (
        (341 * r["curve"][-1]["val_accuracy"] + 372 * r["test"]["test_accuracy"]) / 713
    ),
}


def trained(arm: str, seed: int, size: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Trains one arm to the end, from its last checkpoint in `folder`; returns its curve and its test."""
    data, config = ARMS[arm]
    model = ImageClassifier(
        {**COMMON, **config, "image_size": size},
        task={"data": {**DATA, **data}, "model": MODEL},
        seed=seed,
        max_epochs=epochs,
    )
    curve, kept = folder / "curve.json", folder / "state"
    rows: list[dict[str, float]] = json.loads(curve.read_text()) if curve.exists() else []
    if rows:
        model.load(kept / str(len(rows)))
    for epoch in range(len(rows) + 1, epochs + 1):
        began = time.process_time()
        rows.append({**model.train_epoch(), "cpu_seconds": time.process_time() - began})
        (kept / str(epoch)).mkdir(parents=True, exist_ok=True)
        model.save(kept / str(epoch))
        save(curve, rows)
        shutil.rmtree(kept / str(epoch - 1), ignore_errors=True)
        value, seconds = rows[-1]["val_accuracy"], rows[-1]["cpu_seconds"]
        print(f"{arm}, seed {seed}, epoch {epoch}: {value:.3f} in {seconds:.0f} CPU s", file=sys.stderr, flush=True)
    return {"curve": rows, "test": {k: v for k, v in model.test().items() if isinstance(v, float)}}


def compared(results: dict[str, Any], arms: Sequence[str], seeds: Sequence[int], what: str) -> list[Row]:
    """Returns rows of each arm, and of the difference of each from the first, seed by seed."""
    found: dict[str, list[float]] = {
        arm: [results[f"{arm}|{seed}"]["test"]["test_accuracy"] for seed in seeds] for arm in arms
    }
    rows = []
    for arm in arms:
        last = [results[f"{arm}|{seed}"]["curve"][-1] for seed in seeds]
        rows.append(row(f"{arm}, {what}: test", found[arm], "accuracy"))
        rows.append(row(f"{arm}, {what}: validation", [r["val_accuracy"] for r in last], "accuracy"))
        rows.append(row(f"{arm}, {what}: validation", [r["val_loss"] for r in last], "loss"))
        rows.append(row(f"{arm}, {what}: an epoch", [r["cpu_seconds"] for r in last], "CPU s"))
    for arm in arms[1:]:
        for name, value in MEASURES.items():
            mine, first = ([value(results[f"{one}|{seed}"]) for seed in seeds] for one in (arm, arms[0]))
            differences = [a - b for a, b in zip(mine, first, strict=True)]
            p = float(stats.ttest_rel(mine, first).pvalue) if len(seeds) > 1 else float("nan")
            bar = "above 0, p < 0.05" if name == "test accuracy" else ""
            rows.append(row(f"{arm} - {arms[0]}, {what}: {name}", differences, "", bar, p=p))
            print(
                f"{rows[-1]['what']}: mean {sum(differences) / len(seeds):.4f}, paired t-test p = {p:.4f}",
                file=sys.stderr,
            )
    return rows


def main(
    quick: bool = False,
    arms: Sequence[str] = ("preset", "recipe"),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    size: int = 160,
    epochs: int = 15,
    results: Path = ROOT / "results" / "recipe.json",
) -> list[Row]:
    """Returns the bench's rows."""
    if quick:
        seeds, size, epochs = seeds[:1], 96, 6
    torch.set_num_threads(1)
    found: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    what = f"{size} px, {epochs} epochs"
    mine = found.setdefault(what, {})
    for seed in seeds:
        for arm in arms:
            key = f"{arm}|{seed}"
            if key not in mine:
                folder = results.parent / f"{results.stem}-{size}-{epochs}" / key.replace(" ", "_")
                mine[key] = trained(arm, seed, size, epochs, folder)
                save(results, found)
                shutil.rmtree(folder, ignore_errors=True)
    return compared(mine, arms, seeds, what)


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["preset", "recipe"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "recipe.json")
    given = parser.parse_args()
    tell(main(given.quick, given.arms, given.seeds, given.size, given.epochs, given.results), given.json)
