"""Data sets: one deterministic stratified split, decoded once per node, shared read-only by every process. Reads only.

trainables.decoding writes the files that are read here, into the cache directory (HPO_CACHE).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables import sources, splits, tabular
from trainables.cache import cache_directory
from trainables.decoding import decoded
from trainables.errors import InvalidConfig
from trainables.sections import Data


@dataclass(frozen=True, eq=False)
class Split:
    """`images` uint8 [N, 3, S, S], channels last and mapped from disk: gather from them, never write to them.

    A write would stay private to the process, but cost it a page. `labels` is int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The three splits of a task; with k folds, `train` and `validation` are those of the first of `folds`.

    `digest` depends on the decoded images and their labels alone, so it is equal on every node; `skipped` names the
    corrupt images, and `remarks` are sentences about ready splits that are not used.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    digest: str
    skipped: tuple[str, ...] = ()
    folds: tuple[tuple[Split, Split], ...] = ()
    remarks: tuple[str, ...] = ()

    def fold(self, k: int) -> Dataset:
        """Returns the data set whose validation split is fold `k` (from 0) and whose training split is the others."""
        train, validation = self.folds[k]
        return replace(self, train=train, validation=validation, digest=f"{self.digest}-fold{k}", folds=())

    def trained_on(self, other: Dataset) -> Dataset:
        """Returns this data set with the training images of another: the same images in another size."""
        folds = tuple((theirs[0], mine[1]) for theirs, mine in zip(other.folds, self.folds, strict=True))
        return replace(self, train=other.train, folds=folds, digest=f"{self.digest}-{other.digest}")

    @property
    def counts(self) -> dict[str, list[int]]:
        """The number of images of each class in train, validation and test, [K] each."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: torch.bincount(part.labels, minlength=len(self.classes)).tolist() for name, part in parts.items()}

    def class_weights(self, scheme: str) -> Tensor | None:
        """Returns the weight of each class in the loss, float32 [K], by the training split; None for "none"."""
        weights = splits.class_weights(scheme, self.train.labels.numpy(), len(self.classes))
        return None if weights is None else torch.from_numpy(weights).float()


def names() -> list[tuple[str, str]]:
    """Returns every value of a study's `data.name`, images and tables, with a line that describes it."""
    return sources.names() + tabular.names()


def load(data: Data, *, image_size: int, train_size: int = 0) -> Dataset:
    """Returns the data set of a study's `data` section at `image_size` x `image_size` pixels.

    With a `train_size` that differs, training images have that; all images are then decoded once for each size.

    The test split is taken first: a ready one, or `test` (0.2) of all; then `validation`: a ready split, or (0.2) of
    the training part; then `train` (1.0) of the rest. Each may be a fraction, a count or "N per class"; the first two
    also a ready split's name. `balanced` takes equally many images of each class in train and validation. All carved
    splits are stratified and depend on `seed` alone. With `folds`, a ready validation split joins the training part.

    The first call on a node decodes the images; for equal arguments a process reads the disk once. Raises BadData,
    and InvalidConfig for an impossible image size.
    """
    if isinstance(image_size, bool) or not isinstance(image_size, int) or image_size < 1:
        raise InvalidConfig(f"image_size must be a whole number >= 1, but got {image_size!r}")
    # Neither augmentation nor class weights change the decoded images.
    plain = replace(data, augment="none", class_weights="none")
    held_out = _load(plain, image_size, cache_directory())
    if train_size in (0, image_size):
        return held_out
    return held_out.trained_on(_load(plain, train_size, cache_directory()))


@lru_cache(maxsize=4)
def _load(data: Data, image_size: int, cache: Path) -> Dataset:
    return _read(decoded(data, image_size, cache))


def _read(folder: Path) -> Dataset:
    about = json.loads((folder / "about.json").read_text())
    # Copy-on-write: all processes share the pages, and a stray write would reach neither them nor the file.
    images = torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.load(folder / "labels.npy"))

    def part(start: int, stop: int) -> Split:
        return Split(images[start:stop], labels[start:stop])

    *sizes, tested = about["sizes"]
    ends = [0, *np.cumsum(sizes).tolist()]
    pool = ends[-1]
    folds: tuple[tuple[Split, Split], ...] = ()
    if about["folds"]:
        folds = tuple((part(b, a + pool), part(a, b)) for a, b in pairwise(ends))
        train, validation, test = *folds[0], part(2 * pool, 2 * pool + tested)
    else:
        train, validation, test = part(0, ends[1]), part(ends[1], ends[2]), part(pool, pool + tested)
    return Dataset(
        about["name"],
        tuple(about["classes"]),
        train,
        validation,
        test,
        about["digest"],
        tuple(about["skipped"]),
        folds,
        tuple(about["remarks"]),
    )
