"""The images that the bench trains on: an evenly spread part of an image folder, as links, or made ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COUNTS = {"train": 1024, "validation": 112, "test": 64}  # at most, of all classes together
FEW = {"train": 32, "validation": 8, "test": 8}
SHAPES = ("ellipse", "rectangle", "line", "arc")


def pictures(source: Path | None, target: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
    """Fills the folder `target` with train/, validation/ and test/, and returns it. Without a source it draws shapes."""
    for split, count in counts.items():
        if source is None:
            _draw(target / split, count, np.random.default_rng([seed, count]))
        else:
            _link(source / split, target / split, count)
    return target


def _link(source: Path, target: Path, count: int) -> None:
    classes = [folder for folder in sorted(source.iterdir()) if folder.is_dir()]
    files = {folder: sorted(path for path in folder.iterdir() if path.is_file()) for folder in classes}
    step = max(1, sum(map(len, files.values())) // count)
    for folder, paths in files.items():
        (target / folder.name).mkdir(parents=True)
        for path in paths[::step]:
            (target / folder.name / path.name).symlink_to(path.resolve())


def _draw(target: Path, count: int, rng: np.random.Generator, pixels: int = 160) -> None:
    for shape in SHAPES:
        (target / shape).mkdir(parents=True)
        for i in range(count // len(SHAPES)):
            image = Image.fromarray(rng.integers(90, 170, (pixels, pixels, 3), dtype=np.uint8))
            left, top = (int(v) for v in rng.integers(0, pixels // 2, 2))
            box = (left, top, left + int(rng.integers(20, pixels // 2)), top + int(rng.integers(20, pixels // 2)))
            color = tuple(int(v) for v in rng.integers(0, 256, 3))
            draw = ImageDraw.Draw(image)
            options = {"start": 0, "end": 200} if shape == "arc" else {}
            getattr(draw, shape)(box, fill=color, width=8, **options)
            image.save(target / shape / f"{i}.jpg", quality=92)
