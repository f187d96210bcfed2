"""Images and labels as arrays of one .npz file: what their headers say, checked before any value is read. Reads only."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpo.text import one_line, shown
from trainables.errors import BadData
from trainables.sources import READY, Part, Source

_IMAGES, _LABELS = ("images", "x"), ("labels", "y")
_SPLITS = ("", "train", "val", "valid", "validation", "dev", "test")
_FORMS = "[n, H, W], [n, H, W, 1 or 3] or [n, 1 or 3, H, W]"


@dataclass(frozen=True)
class Header:
    """What an array's file says before its values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Pair:
    """The names of the arrays of a part's images and of their labels."""

    images: str
    labels: str


@dataclass(frozen=True)
class Layout:
    """The arrays that a file's parts use, "all" or "train" and perhaps others, and sentences about those that none uses."""

    parts: Mapping[str, Pair]
    remarks: tuple[str, ...] = ()


def layout(path: Path) -> Layout:
    """Returns which arrays of a .npz file are images and labels, by their names and headers; reads no values.

    Raises BadData where none are, or where they do not fit each other.
    """
    found = _headers(path)
    parts, alone = _named(found)
    if not parts or ("train" not in parts and "all" not in parts):
        raise BadData(
            f"data.root {path} must hold arrays images and labels (or train_images, ...), but got "
            f"{shown(sorted(found))}"
        )
    for part, pair in parts.items():
        _check_images(path, pair.images, found[pair.images], empty=part not in ("train", "all"))
        _check_labels(path, pair, found[pair.labels], found[pair.images].shape[0])
    return Layout(parts, tuple(f"the array {a} of {path} is not used: it has no {b} beside it" for a, b in alone))


def npz(path: Path) -> Source:
    """Returns the arrays `images` and `labels` (or x and y) of a .npz file, or those of ready splits.

    Ready splits are `train_images`, `train_labels`, `val_images`, ... (MedMNIST) or `x_train`, `y_train`, ... (Keras).
    Images are [n, H, W] or [n, H, W, 1 or 3] or [n, 3, H, W], whole numbers in 0..255 or floats in [0, 1];
    labels are numbers or strings [n] or [n, 1], or one-hot [n, K]. Raises BadData for other values and for several
    labels an image.
    """
    plan = layout(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:  # numpy leaves bad ones open
            arrays = {part: (file[pair.images], file[pair.labels]) for part, pair in plan.parts.items()}
    except Exception as error:  # as in `_headers`
        raise _unreadable(path, error) from None
    found = {part: (images, _single(path, labels)) for part, (images, labels) in arrays.items()}
    values = np.unique(np.concatenate([labels for _, labels in found.values()]))
    if len(values) < 2:
        raise BadData(f"{path} must hold at least two classes, but got {values.tolist()}")
    parts = {name: _part(path, x, np.searchsorted(values, y)) for name, (x, y) in found.items()}
    return Source(tuple(str(v) for v in values), parts, plan.remarks)


# -- names and headers --------------------------------------------------------------------------------------------


def _headers(path: Path) -> dict[str, Header]:
    """Returns the header of every array in the file."""
    try:
        with zipfile.ZipFile(path) as file:
            members = [name for name in file.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): _header(file, name) for name in members}
    except FileNotFoundError:
        raise BadData(f"data.root must be an .npz file, but there is none at {path}") from None
    except Exception as error:  # whatever a damaged file, or one of another kind, makes zipfile and NumPy raise
        raise _unreadable(path, error) from None


def _header(file: zipfile.ZipFile, name: str) -> Header:
    with file.open(name) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
    return Header(shape, dtype)


def _unreadable(path: Path, error: Exception) -> BadData:
    return BadData(f"data.root {path} must be an .npz file of plain arrays, but it is not: {one_line(error)}")


def _named(names: Collection[str]) -> tuple[dict[str, Pair], list[tuple[str, str]]]:
    """Returns the pair of each part, and the arrays that would be of a part if it had the other one, which is named."""
    parts: dict[str, Pair] = {}
    alone: list[tuple[str, str]] = []
    for split in _SPLITS:
        pairs = _pairs(split)
        whole = [pair for pair in pairs if pair.images in names and pair.labels in names]
        if whole:
            parts[READY.get(split, split) or "all"] = whole[0]
        for pair in pairs:
            if (pair.images in names) != (pair.labels in names):
                both = (pair.images, pair.labels)
                alone.append(both if pair.images in names else both[::-1])
    return parts, alone


def _pairs(split: str) -> list[Pair]:
    found = []
    for image, label in zip(_IMAGES, _LABELS, strict=True):
        if not split:
            found.append(Pair(image, label))
        else:
            found += [Pair(f"{split}_{image}", f"{split}_{label}"), Pair(f"{image}_{split}", f"{label}_{split}")]
    return found


def _check_images(path: Path, name: str, header: Header, *, empty: bool) -> None:
    """Refuses what cannot be images; `empty`: there may be none."""
    shape, kind = list(header.shape), header.dtype
    channels = len(shape) == 4 and (shape[3] in (1, 3) or shape[1] in (1, 3))
    if len(shape) != 3 and not channels:
        raise BadData(f"{name} of data.root {path} must have shape {_FORMS}, but got {shape}")
    if 0 in (shape[1:] if empty else shape):
        raise BadData(f"{name} of data.root {path} must hold images, but its shape is {shape}")
    if kind.kind not in "biuf":
        raise BadData(f"{name} of data.root {path} must hold numbers, but it holds {_what(kind)}")


def _check_labels(path: Path, pair: Pair, header: Header, images: int) -> None:
    shape, kind = list(header.shape), header.dtype
    table = len(shape) > 1 and int(np.prod(shape[1:])) != 1
    if not shape or (table and kind.kind not in "biuf"):
        raise BadData(
            f"{pair.labels} of data.root {path} must hold labels of shape [n], or one-hot ones [n, K], but got {shape}"
        )
    if kind.kind not in "biufSU":
        raise BadData(f"{pair.labels} of data.root {path} must hold numbers or strings, but it holds {_what(kind)}")
    if shape[0] != images:
        raise BadData(
            f"data.root {path} must hold as many labels as images, but got {shape[0]} in {pair.labels} and {images} in "
            f"{pair.images}"
        )


def _what(kind: np.dtype[Any]) -> str:
    return "Python objects, which are not loaded because they can run code" if kind.hasobject else f"{kind}"


# -- values -------------------------------------------------------------------------------------------------------


def _single(path: Path, labels: NDArray[Any]) -> NDArray[Any]:
    """The label of each image, [n], from labels [n] or [n, 1], or one-hot ones [n, K]."""
    if labels.ndim < 2:
        return labels
    table = labels.reshape(len(labels), -1)
    if table.shape[1] == 1:
        return table[:, 0]
    if np.isin(table, (0, 1)).all():
        if (table.sum(1) == 1).all():
            return np.asarray(table.argmax(1))
        row = int(np.flatnonzero(table.sum(1) != 1)[0])
        raise BadData(f"{path} must hold one label for each image, but image {row} has {int(table[row].sum())} of them")
    raise BadData(f"{path} must hold labels of shape [n], or one-hot ones [n, K], but got {list(labels.shape)}")


def _part(path: Path, images: NDArray[Any], labels: NDArray[np.int64]) -> Part:
    if images.dtype.kind in "iu" and images.dtype != np.uint8:
        low, high = images.min(), images.max()
        if low < 0 or high > 255:
            raise BadData(
                f"images of {path} must lie in 0..255, but got {low}..{high}; scale them to uint8, or to [0, 1]"
            )
    return Part(labels.astype(np.int64), lambda i: images[i])
