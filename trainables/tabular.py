"""Paper 002's three synthetic sets of two features, generated from a seed. Pure; the originals are not needed.

They follow the paper's description (sizes, classes, shapes, error rates of its Table 3): alike in kind, not in numbers.
As in the paper, the held-out `test` part (its eval) has a distribution of its own in each set, and in #10 validation
(its dev) has one too: a configuration that looks well tuned need not hold up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.text import meant, shown
from trainables.errors import BadData
from trainables.sections import Data, Share

Points = NDArray[np.float32]  # [N, 2]
Labels = NDArray[np.int64]  # [N]


@dataclass(frozen=True, eq=False)
class Rows:
    """`features` float32 [N, 2] and class numbers `labels` int64 [N]."""

    features: Points
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Table:
    """A set with its three parts. The paper calls validation `dev` and test `eval`."""

    name: str
    classes: int
    train: Rows
    validation: Rows
    test: Rows

    @cached_property
    def digest(self) -> str:
        """The digest of all features and labels."""
        found = hashlib.blake2b(digest_size=8)
        for rows in (self.train, self.validation, self.test):
            found.update(rows.features.tobytes() + rows.labels.tobytes())
        return found.hexdigest()

    @property
    def counts(self) -> dict[str, list[int]]:
        """The number of rows of each class in train, validation and test, [K] each."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: np.bincount(rows.labels, minlength=self.classes).tolist() for name, rows in parts.items()}


def names() -> list[tuple[str, str]]:
    """Returns every value of `data.name` for tables, with a line that describes it."""
    return [(name, description) for name, (_, _, description, _) in SETS.items()]


def sizes(data: Data, *, final: Share | None = None) -> tuple[int, int, int]:
    """Returns how many rows train, validation and test have. Raises BadData: an unknown name or an impossible size."""
    if data.name not in SETS:
        raise BadData(f"data.name must be one of {', '.join(SETS)}, but got {shown(data.name)}{meant(data.name, SETS)}")
    _, classes, _, whole = SETS[data.name]
    shrink = _count(data.train, whole[0], classes, "train") / whole[0]
    shares = {"train": data.train if final is None else final, "validation": data.validation, "test": data.test}
    train, validation, test = (
        _count(max(shrink, classes / size) if share is None else share, size, classes, part)
        for (part, share), size in zip(shares.items(), whole, strict=True)
    )
    return train, validation, test


def load(data: Data, *, final: Share | None = None) -> Table:
    """Generates the set `data.name`; `train`, `validation`, `test` are counts or fractions of the paper's sizes.

    A part whose size is not given shrinks with `train`. Each part has its own random numbers from `seed`. `final` is the
    size of the training part in a final exam; the others stay as they are without it. Raises BadData for an unknown
    name or an impossible size.
    """
    counts = sizes(data, final=final)
    draw, classes, _, _ = SETS[data.name]
    parts = []
    for i, (part, count) in enumerate(zip(("train", "validation", "test"), counts, strict=True)):
        rng = np.random.default_rng([data.seed, i])
        labels = rng.permutation(np.arange(count, dtype=np.int64) % classes)  # balanced, as the paper's are
        parts.append(Rows(draw(labels, part, rng).astype(np.float32), labels))
    return Table(data.name, classes, *parts)


def _count(share: Any, size: int, classes: int, part: str) -> int:
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise BadData(f"data.{part} must be a fraction or a count, but got {shown(share)}")
    count = round(share * size) if isinstance(share, float) else share
    if not classes <= count <= 10 * size or (isinstance(share, float) and share > 1):
        raise BadData(
            f"data.{part} must be a fraction in (0, 1] or a count of at least {classes}, but got {shown(share)}"
        )
    return count


# -- the three sets -----------------------------------------------------------------------------------------------


def _spirals(labels: Labels, part: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """#08: three interleaved spiral arms with noise; the test part is turned by 50 degrees."""
    reach = rng.uniform(0.15, 1, len(labels))
    angle = 2 * np.pi * labels / 3 + 3.2 * reach + (np.radians(50) if part == "test" else 0)
    arm = np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)
    return np.asarray(arm + rng.normal(0, 0.26, arm.shape))


def _gaussians(labels: Labels, part: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """#09: five equally spaced Gaussians in a row, classes alternating; those of the test part are less tight."""
    places = np.where(labels == 0, 2 * rng.integers(0, 3, len(labels)), 1 + 2 * rng.integers(0, 2, len(labels)))
    spread = 0.23 if part != "test" else 0.39
    centres = np.stack([places - 2.0, np.zeros(len(labels))], 1)
    return np.asarray(centres + rng.normal(0, spread, centres.shape))


# The strokes of #10 by their turning points: one hand drew those of train, another those of the other parts.
_STROKES = {
    "train": (
        [(-0.9, 0.7), (-0.2, 0.95), (0.3, 0.5), (-0.3, 0.1), (0.2, -0.4), (-0.4, -0.9), (-0.95, -0.5)],
        [(0.9, -0.8), (0.3, -0.75), (-0.1, -0.15), (0.35, 0.15), (-0.2, 0.55), (0.5, 0.9), (0.95, 0.4)],
    ),
    "validation": (
        [(-0.7, 0.8), (0.1, 0.75), (0.15, 0.2), (-0.5, 0.3), (0.3, -0.1), (-0.2, -0.7), (-0.8, -0.7)],
        [(0.7, -0.6), (0.1, -0.5), (0.1, -0.3), (0.05, 0.4), (-0.4, 0.3), (0.2, 0.7), (0.8, 0.6)],
    ),
}
_STROKES["test"] = (
    [(-0.8, 0.6), (-0.1, 0.8), (0.25, 0.3), (-0.4, 0.2), (0.1, -0.2), (-0.2, -0.8), (-0.8, -0.6)],
    [(0.8, -0.7), (0.15, -0.6), (0.05, -0.2), (0.15, 0.3), (-0.35, 0.4), (0.3, 0.8), (0.85, 0.5)],
)


def _strokes(labels: Labels, part: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """#10: two strokes as drawn by hand, with white noise."""
    points = np.empty((len(labels), 2))
    for k, turns in enumerate(_STROKES[part]):
        of_class = labels == k
        places = rng.uniform(0, len(turns) - 1, int(of_class.sum()))
        for axis in range(2):
            points[of_class, axis] = np.interp(places, range(len(turns)), [turn[axis] for turn in turns])
    return np.asarray(points + rng.normal(0, 0.07 if part == "train" else 0.1, points.shape))


Draw = Callable[[Labels, str, np.random.Generator], NDArray[np.float64]]
SETS: dict[str, tuple[Draw, int, str, tuple[int, int, int]]] = {
    "synthetic_08": (_spirals, 3, "paper 002's #08: three noisy spiral arms, 3 classes", (300_000, 15_000, 15_000)),
    "synthetic_09": (
        _gaussians,
        2,
        "paper 002's #09: five tight Gaussians in a row, 2 classes",
        (500_000, 250_000, 250_000),
    ),
    "synthetic_10": (
        _strokes,
        2,
        "paper 002's #10: two strokes as drawn by hand, 2 classes",
        (100_000, 10_000, 10_000),
    ),
}
