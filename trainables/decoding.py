"""Decoding: the images of a task's splits become memory-mapped arrays in the node's cache, once, whole or not at all.

The only place that writes them: CACHE/data/NAME/ with images.npy uint8 [rows, S, S, 3], labels.npy int64 [rows] and
about.json. Rows are train, validation, test; with folds, the pool fold by fold, the pool again, test.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainables import sources, splits
from trainables.cache import locked
from trainables.errors import BadData, InvalidConfig
from trainables.remote import fetch
from trainables.sources import UNREADABLE, Part, Source
from trainables.splits import Indexes

FORMAT = 1  # of the cached files: raise it when what is decoded changes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What of the study's `data`, with the image size, decides which pixels come out."""

    name: str
    image_size: int
    root: str | None = None
    train: splits.Share = 1.0
    validation: splits.Share | None = None
    test: splits.Share | None = None
    balanced: bool = False
    seed: int = 0
    download: bool = False
    folds: int | None = None
    corrupt: str = "refuse"
    fit: str = "squeeze"

    @classmethod
    def read(cls, data: Mapping[str, Any], image_size: int) -> Settings:
        """Raises BadData for data that cannot be had, InvalidConfig for an impossible image size."""
        if isinstance(image_size, bool) or not isinstance(image_size, int) or image_size < 1:
            raise InvalidConfig(f"image_size must be a whole number >= 1, but got {image_size!r}")
        known = {key: data[key] for key in cls.__dataclass_fields__ if data.get(key) is not None}
        settings = cls(**{**known, "name": str(data.get("name")), "image_size": image_size})
        if settings.name not in dict(sources.names()):
            raise BadData(
                f"data.name must be one of {', '.join(n for n, _ in sources.names())}, but got {settings.name!r}"
            )
        if settings.corrupt not in ("refuse", "skip"):
            raise BadData(f"data.corrupt must be refuse or skip, but got {settings.corrupt!r}")
        if settings.fit not in ("squeeze", "crop"):
            raise BadData(f"data.fit must be squeeze or crop, but got {settings.fit!r}")
        if settings.root is None and settings.name in ("image_folder", "npz"):
            raise BadData(f"data.root must be given for {settings.name}")
        if settings.folds is not None and settings.folds < 2:
            raise BadData(f"data.folds >= 2 must hold, but got {settings.folds}")
        if settings.folds is not None and settings.validation is not None:
            raise BadData("data.validation must not be given with data.folds: each fold is the validation split once")
        return settings


def decoded(settings: Settings, cache: Path) -> Path:
    """The folder with the decoded images; made by the first process that asks, while others wait. Raises BadData."""
    root = _root(settings, cache)
    asked = {name: repr(value) for name, value in asdict(settings).items() if name not in ("root", "download")}
    key = _digest(FORMAT, sorted(asked.items()), _fingerprint(settings, root))
    folder = cache / "data" / f"{settings.name}-{settings.image_size}px-{key}"
    if not folder.exists():
        with locked(cache / "locks" / folder.name):
            if not folder.exists():
                _build(settings, root, cache, folder)
    return folder


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _root(settings: Settings, cache: Path) -> Path:
    if settings.root is None:
        return cache / "downloads"
    if settings.root.startswith("s3://"):
        return fetch(settings.root, cache)
    return Path(settings.root).expanduser().resolve()


def _fingerprint(settings: Settings, root: Path) -> str:
    """Changes when files under `root` do. Named sets never change."""
    if settings.name not in ("image_folder", "npz"):
        return str(root)
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    return _digest(str(root), [(str(p.relative_to(root)), p.stat().st_size, p.stat().st_mtime_ns) for p in files])


def _source(settings: Settings, root: Path, cache: Path) -> Source:
    if settings.name == "digits":
        return sources.digits()
    if settings.name == "image_folder":
        return sources.image_folder(root)
    if settings.name == "npz":
        return sources.npz(root)
    with locked(cache / "locks" / f"download-{settings.name}"):
        return sources.torchvision_set(settings.name, root, download=settings.download)


# -- which image goes where ---------------------------------------------------------------------------------------


class _Catalog:
    """All images of a source under one numbering, the parts one after the other."""

    def __init__(self, source: Source) -> None:
        self.classes = source.classes
        self._parts: list[Part] = list(source.parts.values())
        self.labels = np.concatenate([part.labels for part in self._parts])
        self._starts = np.cumsum([0, *(len(part.labels) for part in self._parts)])
        self.parts = {name: np.arange(*self._starts[i : i + 2]) for i, name in enumerate(source.parts)}

    def _find(self, i: int) -> tuple[Part, int]:
        which = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self._parts[which], int(i - self._starts[which])

    def pixels(self, i: int, settings: Settings) -> NDArray[np.uint8]:
        part, place = self._find(i)
        image = part.image(place)
        with image if isinstance(image, Image.Image) else nullcontext():  # an unreadable file is closed too
            return sources.pixels(image, settings.image_size, crop=settings.fit == "crop")

    def called(self, i: int) -> str:
        part, place = self._find(i)
        return part.called(place)


def _plan(catalog: _Catalog, settings: Settings) -> list[Indexes]:
    """Which images make up train, validation and test; with folds, each fold and then test."""
    rng = np.random.default_rng(settings.seed)
    parts = dict(catalog.parts)
    pool = parts.pop("all" if "all" in parts else "train")

    def carve(what: str, share: splits.Share, balanced: bool) -> Indexes:
        nonlocal pool
        labels = catalog.labels[pool]
        counts = np.bincount(labels, minlength=len(catalog.classes))
        wanted = splits.quotas(counts, share, balanced=balanced, what=f"data.{what}")
        taken, left = splits.take(labels, wanted, rng)
        chosen, pool = pool[taken], pool[left]
        return chosen

    def held_out(what: str, share: splits.Share | None, balanced: bool) -> Indexes:
        if share is None:
            return parts.pop(what) if what in parts else carve(what, 0.2, balanced)
        if splits.is_share(share):
            return carve(what, share, balanced)
        ready = sources.READY.get(str(share), str(share))
        if ready not in parts:
            valid = f"a fraction, a count, 'N per class' or a ready split ({', '.join(parts) or 'none here'})"
            raise BadData(f"data.{what} must be {valid}, but got {share!r}")
        return parts.pop(ready)

    test = held_out("test", settings.test, balanced=False)
    if settings.folds is None:
        validation = held_out("validation", settings.validation, settings.balanced)
        return [carve("train", settings.train, settings.balanced), validation, test]
    pool = np.concatenate([pool, parts.get("validation", pool[:0])])
    pool = carve("train", settings.train, settings.balanced)
    return [*(pool[fold] for fold in splits.folds(catalog.labels[pool], settings.folds, rng)), test]


# -- decoding -----------------------------------------------------------------------------------------------------


def _build(settings: Settings, root: Path, cache: Path, folder: Path) -> None:
    """Decodes into `folder`, which appears whole or not at all."""
    catalog = _Catalog(_source(settings, root, cache))
    plan = _plan(catalog, settings)
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed: the lock is ours now
    partial.mkdir(parents=True)
    try:
        _check_room(partial, sum(map(len, plan)) * settings.image_size**2 * 3 * (3 if settings.folds else 2))
        _write(catalog, plan, settings, partial)
        for path in partial.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    os.replace(partial, folder)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadData(
            f"the cache {folder.parent} must have room for {needed / 1e9:.1f} GB of decoded images, "
            f"but {free / 1e9:.1f} GB are free; set HPO_CACHE to a larger disk, or take fewer images"
        )


def _write(catalog: _Catalog, plan: list[Indexes], settings: Settings, folder: Path) -> None:
    chosen = np.concatenate(plan)
    raw, good = _decode(catalog, chosen, settings, folder / "raw.npy")
    skipped = [catalog.called(int(i)) for i in chosen[~good]]
    if skipped:
        _report(skipped, len(chosen), settings)
    ends = np.cumsum([0, *map(len, plan)])
    rows = [a + np.flatnonzero(good[a:b]) for a, b in pairwise(ends)]
    _check_classes(catalog, rows, chosen)
    # A fold's training split is what follows it in the pool written twice: a slice, where a gather would be a copy.
    order = np.concatenate(rows[:-1] * 2 + rows[-1:] if settings.folds else rows)
    labels = catalog.labels[chosen[order]]
    if np.array_equal(order, np.arange(len(chosen))):
        (folder / "raw.npy").rename(folder / "images.npy")
    else:
        final = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(order), *raw.shape[1:]))
        for start in range(0, len(order), 1024):
            final[start : start + 1024] = raw[order[start : start + 1024]]
        (folder / "raw.npy").unlink()
    np.save(folder / "labels.npy", labels)
    about = {
        "name": settings.name,
        "classes": list(catalog.classes),
        "sizes": [len(r) for r in rows],
        "folds": settings.folds or 0,
        "skipped": skipped,
        "digest": _content(folder / "images.npy", labels),
    }
    (folder / "about.json").write_text(json.dumps(about))


def _decode(
    catalog: _Catalog, chosen: Indexes, settings: Settings, path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Decodes into a mapped file [n, S, S, 3]; says which could be read, [n]."""
    size = settings.image_size
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (len(chosen), size, size, 3))
    good = np.zeros(len(chosen), dtype=bool)

    def one(row: int) -> None:
        try:
            images[row] = catalog.pixels(int(chosen[row]), settings)
            good[row] = True
        except UNREADABLE as error:
            log.debug("%s: %s", catalog.called(int(chosen[row])), error)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without the interpreter's lock
        list(pool.map(one, range(len(chosen)), chunksize=64))
    return images, good


def _report(skipped: list[str], total: int, settings: Settings) -> None:
    shown = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
    found = f"{len(skipped)} of {total} images of {settings.root or settings.name} cannot be read: {shown}"
    if settings.corrupt == "refuse":
        raise BadData(f"every image must be readable, but {found}; remove them, or set data.corrupt: skip")
    log.warning("%s; skipped", found)


def _check_classes(catalog: _Catalog, rows: list[Indexes], chosen: Indexes) -> None:
    counts = np.bincount(catalog.labels[chosen[rows[0]]], minlength=len(catalog.classes))
    if counts.min() == 0:
        title = catalog.classes[int(np.argmin(counts))]
        raise BadData(f"every class must have readable images to train on, but {title!r} has none")
    for what, part in (("validation", rows[-2]), ("test", rows[-1])):
        if not len(part):
            raise BadData(f"the {what} split must hold images, but none of its images can be read")


def _content(path: Path, labels: Indexes) -> str:
    found = hashlib.blake2b(labels.tobytes(), digest_size=8)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            found.update(block)
    return found.hexdigest()
