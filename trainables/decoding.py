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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.files import expanded
from hpo.text import one_line
from trainables import arrays, sources
from trainables.cache import locked
from trainables.catalog import Catalog
from trainables.errors import BadData
from trainables.remote import fetch
from trainables.sections import Data
from trainables.sources import Source
from trainables.splits import Indexes

FORMAT = 2  # of the cached files: raise it when decoding changes
BLOCK = 1 << 22  # bytes read at a time
log = logging.getLogger(__name__)


def decoded(data: Data, image_size: int, cache: Path) -> Path:
    """Returns the folder of decoded images. The first process that asks makes it while others wait. Raises BadData."""
    known = [name for name, _ in sources.names()]
    if data.name not in known:
        raise BadData(f"data.name must be one of {', '.join(known)}, but got {data.name!r}")
    root = _root(data, cache)
    asked = {"image_size": image_size, **asdict(data)}
    for name in (
        "root",
        "download",
        "augment",
        "class_weights",
    ):  # the fingerprint has the root; others change no pixel
        del asked[name]
    key = _digest(FORMAT, sorted((name, repr(value)) for name, value in asked.items()), _fingerprint(data, root))
    folder = cache / "data" / f"{data.name}-{image_size}px-{key}"
    if not folder.exists():
        with locked(cache / "locks" / folder.name):
            if not folder.exists():
                _build(data, image_size, _source(data, root, cache), folder)
    return folder


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _root(data: Data, cache: Path) -> Path:
    if data.root is None:
        return cache / "downloads"
    if data.root.startswith("s3://"):
        return fetch(data.root, cache)
    return expanded(data.root).resolve()


def _fingerprint(data: Data, root: Path) -> str:
    """Changes when files under `root` do. Named sets never change."""
    if data.name not in ("image_folder", "npz"):
        return str(root)
    if not root.exists():
        return str(root)
    files = [root] if root.is_file() else sorted(sources.files_below(root))
    found = [(path, path.stat() if path.exists() else path.lstat()) for path in files]  # a link may lead nowhere
    return _digest(
        str(root), [(str(path.relative_to(root)), about.st_size, about.st_mtime_ns) for path, about in found]
    )


def _source(data: Data, root: Path, cache: Path) -> Source:
    if data.name == "digits":
        return sources.digits()
    if data.name == "image_folder":
        return sources.image_folder(root)
    if data.name == "npz":
        return arrays.npz(root)
    with locked(cache / "locks" / f"download-{data.name}"):
        return sources.torchvision_set(data.name, root, download=data.download)


def _build(data: Data, image_size: int, source: Source, folder: Path) -> None:
    catalog = Catalog(source)
    plan = catalog.plan(data)
    for remark in catalog.remarks:
        log.warning("%s", remark)
    with _appearing(folder) as partial:
        _check_room(partial, sum(map(len, plan)) * image_size**2 * 3 * (3 if data.folds else 2))
        _write(catalog, plan, data, image_size, partial)


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Yields a folder beside `folder` to write files into; moves it to `folder` at the end, deletes it on failure."""
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)  # a killed process left it: the lock is ours now
    partial.mkdir(parents=True)
    try:
        yield partial
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


def _write(catalog: Catalog, plan: list[Indexes], data: Data, image_size: int, folder: Path) -> None:
    chosen = np.concatenate(plan)
    raw, faults = _decode(catalog, chosen, image_size, folder / "raw.npy", crop=data.fit == "crop")
    good = np.array([row not in faults for row in range(len(chosen))], dtype=bool)
    skipped = [catalog.called(int(i)) for i in chosen[~good]]
    if skipped:
        _report(skipped, faults[min(faults)], len(chosen), data)
    ends = np.cumsum([0, *map(len, plan)])
    rows = [a + np.flatnonzero(good[a:b]) for a, b in pairwise(ends)]
    _check_classes(catalog, rows, chosen)
    # A fold's training split is the slice that follows it in the pool written twice; a gather would be a copy.
    order = np.concatenate(rows[:-1] * 2 + rows[-1:] if data.folds else rows)
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
        "name": data.name,
        "classes": list(catalog.classes),
        "sizes": [len(r) for r in rows],
        "folds": data.folds or 0,
        "skipped": skipped,
        "remarks": catalog.remarks,
        "digest": _content(folder / "images.npy", labels),
    }
    (folder / "about.json").write_text(json.dumps(about))


def _decode(
    catalog: Catalog, chosen: Indexes, size: int, path: Path, *, crop: bool
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Decodes into a mapped file [n, S, S, 3]; returns it, and why rows could not be read."""
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (len(chosen), size, size, 3))
    faults: dict[int, str] = {}

    def one(row: int) -> None:
        try:
            images[row] = catalog.pixels(int(chosen[row]), size, crop=crop)
        except MemoryError:
            raise
        except Exception as error:  # whatever a damaged file makes a library raise
            faults[row] = one_line(error)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without the interpreter's lock
        list(pool.map(one, range(len(chosen)), chunksize=64))
    return images, faults


def _report(skipped: list[str], reason: str, total: int, data: Data) -> None:
    shown = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
    found = (
        f"{len(skipped)} of {total} images of {data.root or data.name} cannot be read: {shown} (the first: {reason})"
    )
    if data.corrupt == "refuse":
        raise BadData(f"every image must be readable, but {found}; remove them, or set data.corrupt: skip")
    log.warning("%s; skipped", found)


def _check_classes(catalog: Catalog, rows: list[Indexes], chosen: Indexes) -> None:
    counts = np.bincount(catalog.labels[chosen[rows[0]]], minlength=len(catalog.classes))
    if counts.min() == 0:
        title = catalog.classes[int(np.argmin(counts))]
        raise BadData(f"every class must have readable images to train on, but {title!r} has none")
    for what, part in (("validation", rows[-2]), ("test", rows[-1])):
        if not len(part):
            raise BadData(f"the {what} split must hold images, but none of its images can be read")


def _content(path: Path, labels: Indexes) -> str:
    """The digest of the images and their labels."""
    found = hashlib.blake2b(labels.tobytes(), digest_size=8)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
