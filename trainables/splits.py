"""Which image goes where: stratified splits, balanced subsets, folds and class weights, on label arrays. Pure.

The size of a part is a fraction (0.2), a count (2000), or a count in each class ("50 per class").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainables.errors import BadData
from trainables.sections import Share

Indexes = NDArray[np.int64]

_PER_CLASS = re.compile(r"(\d+) per class")


def is_share(value: object) -> bool:
    """Whether `value` is a size; any other string is the name of a ready split."""
    return isinstance(value, int | float) or (isinstance(value, str) and bool(_PER_CLASS.fullmatch(value)))


def quotas(
    counts: Indexes, share: Share, *, balanced: bool = False, what: str = "train", classes: Sequence[str] = ()
) -> Indexes:
    """Returns how many images of each class to take, [K], of `counts` [K].

    `what` names the part in messages, `classes` the classes.

    Stratified: in proportion to `counts`, rounded so that the sum is exact, at least one of each class. Balanced: the
    same number of each class, where the count does not divide one more of the first classes; a fraction is then a
    fraction of the rarest class. Raises BadData where a class has too few images.
    """
    number = len(counts)
    if isinstance(share, str):
        match = _PER_CLASS.fullmatch(share)
        if not match:
            raise BadData(f"{what} must be a fraction, a count or 'N per class', but got {share!r}")
        wanted = np.full(number, int(match[1]))
    elif isinstance(share, float):
        if not 0 < share <= 1:
            raise BadData(f"{what} must be a fraction in (0, 1] or a whole number of images, but got {share}")
        if balanced:
            wanted = np.full(number, int(share * counts.min()))
        else:
            wanted = _proportional(counts, round(share * int(counts.sum())))
    elif balanced:
        wanted = np.full(number, share // number) + (np.arange(number) < share % number)
    else:
        wanted = _proportional(counts, share)
    _require_all(counts, what, classes)
    if wanted.min() < 1:
        hint = "; write 1.0 for all of them" if share == 1 else ""
        raise BadData(f"{what} must hold at least one image of each of the {number} classes, but got {share}{hint}")
    short = np.flatnonzero(wanted > counts)
    if len(short):
        k = int(short[0])
        raise BadData(
            f"{what}: {share} needs {wanted.sum()} images, {wanted[k]} of class {_title(k, classes)}, "
            f"but there are {counts.sum()}, {counts[k]} of that class"
        )
    return wanted


def _require_all(counts: Indexes, what: str, classes: Sequence[str]) -> None:
    if counts.min() < 1:
        title = _title(int(np.argmin(counts)), classes)
        raise BadData(
            f"{what} must hold at least one image of each class, but none of class {title} is left; "
            "train, validation and test need one each"
        )


def _title(k: int, classes: Sequence[str]) -> str:
    return repr(classes[k]) if classes else f"number {k}"


def _proportional(counts: Indexes, total: int) -> Indexes:
    """Divides `total` in proportion to `counts` by largest remainders; each class gets one before any gets two."""
    present = np.minimum(counts, 1)
    if total < present.sum():
        return np.zeros_like(counts)
    exact = counts * (total / max(1, int(counts.sum())))
    floor: Indexes = np.maximum(np.floor(exact + 1e-9).astype(np.int64), present)
    while floor.sum() > total:  # the largest classes pay for the ones given to rare classes
        floor[np.argmax(floor)] -= 1
    remainder = np.argsort(-(exact - floor), kind="stable")
    floor[remainder[: total - floor.sum()]] += 1
    return floor


def take(labels: Indexes, wanted: Indexes, rng: np.random.Generator) -> tuple[Indexes, Indexes]:
    """Draws `wanted` [K] of each class from `labels` [n]; returns the places taken and those left, both ascending."""
    taken = [rng.permutation(np.flatnonzero(labels == k))[:count] for k, count in enumerate(wanted)]
    mask = np.zeros(len(labels), dtype=bool)
    mask[np.concatenate(taken)] = True
    return np.flatnonzero(mask), np.flatnonzero(~mask)


def folds(labels: Indexes, count: int, rng: np.random.Generator, classes: Sequence[str] = ()) -> list[Indexes]:
    """Divides `labels` [n] into `count` stratified parts whose sizes differ by at most one in each class."""
    counts = np.bincount(labels)
    rarest = int(np.argmin(counts))
    if counts[rarest] < count:
        raise BadData(
            f"{count} folds need at least {count} images of each class, "
            f"but class {_title(rarest, classes)} has {counts[rarest]}"
        )
    place = np.empty(len(labels), dtype=np.int64)
    dealt = 0
    for k in range(int(labels.max()) + 1):
        members = rng.permutation(np.flatnonzero(labels == k))
        place[members] = (
            np.arange(len(members)) + dealt
        ) % count  # continuing where the last class ended evens the sizes
        dealt += len(members)
    return [np.flatnonzero(place == f) for f in range(count)]


def class_weights(scheme: str, labels: Indexes, classes: int) -> NDArray[np.float64] | None:
    """Returns the weight of each class in the loss, [K]; None for "none".

    log: w_k = ln(n / n_k), and 1 for the most common class (Wojciuk et al. 2024, Study III; n images, n_k of class k).
    balanced: n / (K n_k), which gives every class the same total weight.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    if scheme == "none":
        return None
    if scheme == "log":
        return np.where(counts == counts.max(), 1.0, np.log(counts.sum() / np.maximum(counts, 1)))
    if scheme == "balanced":
        return np.asarray(counts.sum() / (classes * np.maximum(counts, 1)))
    raise BadData(f"class_weights must be none, log or balanced, but got {scheme!r}")
