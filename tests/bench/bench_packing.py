"""How well a probe predicts an epoch's peak memory, by which trials are packed.

    python tests/bench/bench_packing.py [--quick] [--json FILE] [--images 320]

Each kind of trial is built in two processes: one runs a probe's steps, the other trains two epochs. The peak is the one
that packing uses: on a GPU torch's reserved memory and the context; on a CPU all resident memory of the process. Most of
the latter are libraries, so a second ratio leaves out the memory of the trial as built. The bar: a probe, with the margin
that admission adds, reserves at least what the epochs need. Real images (scikit-learn's digits), fresh weights.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, row, tell

from hpo.worker.memory_book import MARGIN

Kind = tuple[str, dict[str, Any], str]  # model, configuration, augmentation
KINDS: tuple[Kind, ...] = (
    ("mobilenet_v2", {"image_size": 96, "batch_size": 16, "finetuned_layers": 9}, "none"),
    ("mobilenet_v2", {"image_size": 96, "batch_size": 64, "finetuned_layers": "all"}, "none"),
    ("mobilenet_v2", {"image_size": 96, "batch_size": 32, "finetuned_layers": 18}, "paper001"),
    ("mobilenet_v2", {"image_size": 96, "batch_size": 16, "finetuned_layers": 18, "unfreeze_every": 1}, "none"),
    ("resnet18", {"image_size": 64, "batch_size": 64, "finetuned_layers": "all", "optimizer": "adamw"}, "none"),
    ("efficientnet_b0", {"image_size": 96, "batch_size": 32, "finetuned_layers": "all"}, "flips_crops"),
)
QUICK = 2
CHILD = """
import json, sys, time
import torch
from trainables.image_classifier import ImageClassifier
torch.set_num_threads(1)
what, name, config, augment, images = json.loads(sys.argv[1])
task = {"data": {"name": "digits", "train": images, "validation": images // 4, "augment": augment},
        "model": {"name": name, "weights": "none"}}
memory = ImageClassifier.memory()
memory.reset()
model = ImageClassifier(config, task=task, seed=0, max_epochs=2)
built, began = memory.peak() / 1e6, time.perf_counter()
if what == "probe":
    model.probe()
else:
    model.train_epoch()
seconds = time.perf_counter() - began
if what == "epochs":
    model.train_epoch()
print(json.dumps([built, memory.peak() / 1e6, seconds]))
"""


def measured(what: str, kind: Kind, images: int) -> tuple[float, float, float]:
    """Returns the process's MB with the trial built and at its peak, and seconds of the probe or of the first epoch."""
    with tempfile.TemporaryDirectory() as cache:  # without decoded images and kept activations
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HPO_CACHE": cache}
        asked = [sys.executable, "-c", CHILD, json.dumps([what, *kind, images])]
        answer = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    built, peak, seconds = json.loads(answer.stdout)
    return built, peak, seconds


def main(quick: bool = False, images: int = 320) -> list[Row]:
    """Returns the bench's rows."""
    found = []
    for name, config, augment in KINDS[:QUICK] if quick else KINDS:
        before, probe, short = measured("probe", (name, config, augment), images)
        built, epochs, long = measured("epochs", (name, config, augment), images)
        rest = ", ".join(f"{key} {value}" for key, value in config.items() if key not in ("image_size", "batch_size"))
        what = f"{name}, {config['image_size']} px, batch {config['batch_size']}, {rest}, augment {augment}"
        found += [
            row(f"a probe's peak / two epochs', {what}", [probe / epochs], "ratio", f"at least {1 / MARGIN:.2f}"),
            row(f"the same without the trial as built, {what}", [(probe - before) / (epochs - built)], "share"),
            row(f"two epochs' peak, {what}", [epochs], "MB"),
            row(f"time of a probe / of the first epoch on {images} images, {what}", [short / long], "share"),
        ]
    return found


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--images", type=int, default=320)
    given = parser.parse_args()
    tell(main(given.quick, given.images), given.json)
