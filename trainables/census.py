"""What is in a folder of images, before anybody trains on it: classes, splits, sizes, files that are no images.

Reads folder listings and the headers of a sample of the images.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.catalog import Catalog
from trainables.errors import BadData
from trainables.sections import Data
from trainables.sources import Source, image_folder, is_image
from trainables.splits import Indexes

SAMPLE = 200  # images whose headers are read: enough for a median


@dataclass(frozen=True)
class Census:
    """The counts of an image folder.

    ready: the splits that it has ("all" for class folders alone). train, validation, test: images of each split as a study
    without further keys makes them. largest, smallest: training images of the most and the least common class. side: the
    median of the shorter side in px, 0 if no image could be read. broken: files that are no images, and unreadable ones
    of the sample. remarks: sentences about folders that are not used.
    """

    classes: tuple[str, ...]
    ready: tuple[str, ...]
    train: int
    validation: int
    test: int
    largest: int
    smallest: int
    side: int
    broken: int
    remarks: tuple[str, ...] = ()


def count(root: Path) -> Census:
    """Counts a folder of images. Raises BadData where it is none, or where a class has too few images to be split."""
    _check_folders(root)
    source = image_folder(root)
    catalog = Catalog(source)
    train, validation, test = _split(catalog, root)
    by_class = np.bincount(catalog.labels[train], minlength=len(source.classes))
    sides = [min(size) for size in _sizes(source)]
    tried = sum(len(range(0, len(part.labels), _step(source))) for part in source.parts.values())
    strange = sum(not is_image(Path(part.called(i))) for part in source.parts.values() for i in range(len(part.labels)))
    return Census(
        classes=source.classes,
        ready=tuple(source.parts),
        train=len(train),
        validation=len(validation),
        test=len(test),
        largest=int(by_class.max()),
        smallest=int(by_class.min()),
        side=int(statistics.median(sides)) if sides else 0,
        broken=max(strange, tried - len(sides)),
        remarks=tuple(catalog.remarks),
    )


def _check_folders(root: Path) -> None:
    """Raises BadData for images of all classes in one folder."""
    found = [path for path in root.iterdir() if not path.name.startswith(".")]
    if any(map(is_image, found)) and not any(path.is_dir() for path in found):
        raise BadData(
            f"{root} must hold a folder of images for each class, but its images lie side by side; "
            "move the images of each class into a folder of their own"
        )


def _split(catalog: Catalog, root: Path) -> list[Indexes]:
    """Returns the images of train, validation and test. Raises BadData where a class has too few for all three."""
    try:
        return catalog.plan(Data("image_folder", str(root)))
    except BadData:
        pool = catalog.parts["all" if "all" in catalog.parts else "train"]
        counts = np.bincount(catalog.labels[pool], minlength=len(catalog.classes))
        rarest = int(np.argmin(counts))
        raise BadData(
            f"every class in {root} must have enough images to train on, to validate and to test with, but "
            f"{catalog.classes[rarest]!r} has {counts[rarest]}; add some, or leave the class out"
        ) from None


def _step(source: Source) -> int:
    return max(1, sum(len(part.labels) for part in source.parts.values()) // SAMPLE)


def _sizes(source: Source) -> Iterator[tuple[int, int]]:
    """Yields width and height of the sample's images that can be read."""
    for part in source.parts.values():
        for i in range(0, len(part.labels), _step(source)):
            with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                image = part.image(i)
                assert isinstance(image, Image.Image)
                with image:
                    yield image.size
