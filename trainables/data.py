"""Data sets: one deterministic stratified split, decoded once per node, shared read-only by every process. Reads only.

What lies in the cache directory (HPO_CACHE) is made by trainables.decoding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables import sources, splits, tabular
from trainables.cache import cache_directory
from trainables.decoding import Settings, decoded

__all__ = ["Dataset", "Split", "load", "names", "section"]


@dataclass(frozen=True, eq=False)
class Split:
    """`images` uint8 [N, 3, S, S], channels last in memory and mapped from disk: gather from them, never write into
    them (a write stays private to the process, but costs it a page). `labels` int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The three splits of a task; with k folds, `train` and `validation` are the first fold's and `folds` has them all.

    `digest` is of the decoded images and their labels, so equal on every node; `skipped` names the corrupt images.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    digest: str
    skipped: tuple[str, ...] = ()
    folds: tuple[tuple[Split, Split], ...] = ()

    def fold(self, k: int) -> Dataset:
        """The data set whose validation split is fold `k` (from 0) and whose training split is the other folds."""
        train, validation = self.folds[k]
        return replace(self, train=train, validation=validation, digest=f"{self.digest}-fold{k}", folds=())

    def class_weights(self, scheme: str) -> Tensor | None:
        """The loss's weight of each class, float32 [K], by the training split; None for "none"."""
        weights = splits.class_weights(scheme, self.train.labels.numpy(), len(self.classes))
        return None if weights is None else torch.from_numpy(weights).float()


def names() -> list[tuple[str, str]]:
    """Every value of a study's `data.name`, images and tables, with one line on what it is."""
    return sources.names() + tabular.names()


def section(task: Mapping[str, Any]) -> dict[str, Any]:
    """The data that a task trains on: its `data`, and with `train_on: full` all of the training part, as the final
    training of a winner found on a subset wants it (paper 001, Study III). Validation and test stay as they are,
    unless `balanced` chose the validation images.
    """
    if task.get("train_on") != "full":
        return dict(task["data"])
    return {**task["data"], "train": 1.0, "balanced": False}


def load(data: Mapping[str, Any], *, image_size: int) -> Dataset:
    """The data set of a study's `data` section at `image_size` x `image_size` pixels.

    The test split comes first: a ready one, or `test` (0.2) of all; then `validation`: a ready split, or (0.2) of
    the training part; then `train` (1.0) of what is left. Each may be a fraction, a count or "N per class"; the
    first two also a ready split's name. `balanced` takes as many of each class in train and validation. Everything
    carved out is stratified and depends on `seed` alone. With `folds`, a ready validation split joins the training
    part.

    Decodes at the first call on a node; a process asks the disk once for equal arguments. Raises BadData.
    """
    return _load(Settings.read(data, image_size), cache_directory())


@lru_cache(maxsize=4)
def _load(settings: Settings, cache: Path) -> Dataset:
    return _read(decoded(settings, cache))


def _read(folder: Path) -> Dataset:
    about = json.loads((folder / "about.json").read_text())
    # Copy-on-write: pages are shared with all processes, and a stray write would reach neither them nor the file.
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
        about["name"], tuple(about["classes"]), train, validation, test, about["digest"], tuple(about["skipped"]), folds
    )
