"""Pages that train, typed line by line into a shell as they stand: README, tutorials, the bundle that is run again."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from benchmark_files import lcbench
from PIL import Image
from pyarrow import parquet
from ray_nodes import BIN

from hpo.files import unpack
from tests import documented
from tests.documented import ROOT

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

KEYS = re.compile("^(budget|methods|seeds|final|fixed|metric):.*\n", re.MULTILINE)
FEW = """
budget: {epochs: 12, max_epochs: 2}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
final: {seeds: 1}
fixed: {batch_size: 16, image_size: 32}
metric: val_loss  # random weights name no class rightly
mode: min
"""
BUNDLED = """
study: digits
trainable: curves
space: {learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}, momentum: {type: float, low: 0.0, high: 1.0}}
budget: {epochs: 96, max_epochs: 6}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
"""


def studies(page: str, folder: Path) -> None:
    """Writes the studies of a page, each under its name; FEW takes the place of what makes networks train for hours."""
    for text in documented.blocks(ROOT / page, ("yaml",)):
        if name := re.search("^study: (.*)$", text, re.MULTILINE):
            networks = "trainable: image_classifier" in text
            (folder / f"{name[1]}.yaml").write_text(KEYS.sub("", text) + FEW if networks else text)


def photos(folder: Path, *parts: str) -> None:
    """Makes noise of three shades: a folder for each class."""
    draw = np.random.default_rng(0)
    for part in parts:
        for shade, name in enumerate(("boot", "clog", "shoe")):
            (folder / part / name).mkdir(parents=True)
            for i in range(6):
                pixels = draw.integers(80 * shade, 80 * shade + 90, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")


def downloaded(folder: Path, *names: str) -> None:
    """Puts weights where torchvision keeps those that it has downloaded once; they are random ones."""
    import torch
    from torchvision import models

    kept = folder / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    for name in names:
        url = models.get_model_weights(name).DEFAULT.url
        torch.save(models.get_model(name).state_dict(), kept / url.rpartition("/")[2])


def typed(line: str, folder: Path) -> str:
    """Types a line into a shell in `folder`; returns what it prints. `hpo` and `python` are those of this project."""
    variables = {
        **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "HPO_CACHE": str(folder / "cache"),
        "TORCH_HOME": str(folder / "torch"), "HPO_BENCHMARKS": str(folder / "benchmarks"), "CI": "1", "COLUMNS": "100",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=variables, capture_output=True, text=True, timeout=400,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def readme(folder: Path) -> None:
    studies("README.md", folder)
    photos(folder / "photos", "train", "validation", "test")
    downloaded(folder, "mobilenet_v2")


def your_images(folder: Path) -> None:
    studies("docs/tutorials/your-images.md", folder)
    photos(folder / "photos", "train", "validation", "test")
    downloaded(folder, "mobilenet_v2")


def your_training_code(folder: Path) -> None:
    page = "docs/tutorials/your-training-code.md"
    studies(page, folder)
    (folder / "spirals.py").write_text(next(documented.blocks(ROOT / page, ("python",))))


def suite(folder: Path) -> None:
    studies("docs/tutorials/suite.md", folder)
    photos(folder / "photographs", "leaves", "flowers", "seeds")
    downloaded(folder, "mobilenet_v2", "resnet18")
    (folder / "hpo").symlink_to(ROOT / "hpo")
    curves = [
        {"task": task, "config_rate": rate, "epoch": epoch, "val_accuracy": 1 - abs(rate - best) - 0.5 / epoch}
        for task, best in (("hills", 0.3), ("dales", 0.8))
        for rate in np.linspace(0.0, 1.0, 30).tolist()
        for epoch in range(1, 51)
    ]
    parquet.write_table(pa.Table.from_pylist(curves), folder / "curves.parquet")


def first_comparison(folder: Path) -> None:
    with tarfile.open(ROOT / "tests" / "recorded_stores" / "digits.tar.gz") as archive:
        unpack(archive, folder / "results")


def bundles(folder: Path) -> None:
    (folder / "small.yaml").write_text(BUNDLED)
    typed("hpo run small.yaml --no-report", folder)


def benchmarks(folder: Path) -> None:
    lcbench(folder / "benchmarks")


GIVEN: dict[str, Callable[[Path], None]] = dict(
    zip(
        documented.TYPED,
        (readme, first_comparison, bundles, benchmarks, suite, your_images, your_training_code),
        strict=True,
    )
)
"""What puts into a new folder all that a page's reader has when they come to its first line."""


@pytest.mark.parametrize("page", documented.TYPED)
def test_a_page_typed_from_its_first_line_to_its_last_works(page: str, tmp_path: Path) -> None:
    GIVEN[page](tmp_path)
    for line, commands in documented.lines(ROOT / page):
        told = typed(line, tmp_path)
        assert told.strip() or "-o" in commands[-1].words or ">" in line, line
