"""Where images come from: scikit-learn's digits, torchvision's data sets and image folders. Reads only.

A source names its classes and its parts: ready splits, or one part "all". An image is decoded on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpo.text import one_line
from trainables.errors import BadData

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
READY = {"training": "train", "trainval": "train", "val": "validation", "valid": "validation", "dev": "validation",
         "testing": "test"}  # fmt: skip
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """Images with class numbers `labels` [n]; `image(i)` opens one, `called(i)` names it in messages."""

    labels: NDArray[np.int64]
    image: Callable[[int], Image.Image | NDArray[Any]]
    called: Callable[[int], str] = "image {}".format


@dataclass(frozen=True)
class Source:
    """Images in `parts`: "all", or "train" and perhaps "validation" and "test".

    `remarks` are sentences about what was found beside them and is not used, or not as its name says.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    remarks: tuple[str, ...] = ()


def names() -> list[tuple[str, str]]:
    """Returns every value of `data.name` for images, with a line that describes it."""
    own = [
        ("digits", "1,797 real handwritten digits of 8x8 pixels, 10 classes; comes with scikit-learn, needs no file"),
        ("image_folder", "a folder of images, one folder a class, with or without train/validation/test above them"),
        ("npz", "arrays of images and labels in one .npz file (also MedMNIST's and Keras's names)"),
    ]
    return own + [(name, f"torchvision.datasets.{kind}") for name, (kind, _) in TORCHVISION.items()]


# -- digits -------------------------------------------------------------------------------------------------------


def digits() -> Source:
    """Returns 1,797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998), as scikit-learn ships them."""
    rows = _digits_rows()
    images = (rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)  # ink is 0..16
    part = Part(rows[:, -1].astype(np.int64), lambda i: images[i])
    return Source(tuple("0123456789"), {"all": part})


def _digits_rows() -> NDArray[np.float64]:
    """Returns 64 pixels and the label of each digit, from the file itself: scikit-learn takes a second to import."""
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise BadData("the digits come with scikit-learn, which must be installed, but is not; run `make .venv`")
    return np.loadtxt(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")


# -- image folders ------------------------------------------------------------------------------------------------


def image_folder(root: Path) -> Source:
    """Returns the images of one folder for each class, or of such folders inside train, validation (or val) and test.

    Raises BadData for fewer than two classes, an empty class, or a split with a class that train does not have.
    """
    if not root.is_dir():
        raise BadData(f"data.root must be a folder of images, but there is none at {root}")
    ready, remarks = _ready(root)
    learned = next(iter(ready.values()))
    classes = tuple(p.name for p in _folders(learned))
    if len(classes) < 2:
        raise BadData(f"{learned} must hold a folder for each of at least two classes, but got {list(classes)}")
    return Source(classes, {name: _folder_part(name, folder, classes) for name, folder in ready.items()}, remarks)


def _ready(root: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folders of ready splits, or the root as "all"; and remarks about folders that are something else."""
    found = _folders(root)
    ready = {split(p.name): p for p in found if split(p.name) in SPLITS}
    if "train" in ready:
        unused = [p.name for p in found if p not in ready.values()]
        remarks = (f"{root} holds {', '.join(unused)} beside its ready splits, which are not used",) if unused else ()
        return {name: ready[name] for name in SPLITS if name in ready}, remarks
    titles = ", ".join(p.name for p in ready.values())
    remark = f"{root} has no folder train, so that {titles} counts as a class and not as a ready split"
    return {"all": root}, (remark,) if ready else ()


def split(name: str) -> str:
    """Returns the ready split that a name means, else the name in small letters."""
    return READY.get(name.lower(), name.lower())


def _folder_part(name: str, folder: Path, classes: tuple[str, ...]) -> Part:
    strange = [p.name for p in _folders(folder) if p.name not in classes]
    if strange:
        raise BadData(f"{folder} must hold only classes that train has, but got {strange[0]!r}")
    paths: list[Path] = []
    labels: list[int] = []
    for k, title in enumerate(classes):
        files = sorted(files_below(folder / title))
        if name in ("train", "all") and not any(is_image(p) for p in files):
            raise BadData(f"every class must have images, but {folder / title} has none")
        paths += files
        labels += [k] * len(files)
    names = [str(p.relative_to(folder.parent)) for p in paths]
    return Part(np.array(labels, dtype=np.int64), lambda i: _open(paths[i]), names.__getitem__)


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yields every file below `folder` but hidden ones, through links too; decoding finds the files that are no images.

    A link to a folder that it lies in is not followed.
    """
    real = folder.resolve()
    if real in above:
        return
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name.lower() == "thumbs.db":
            continue
        if path.is_dir():
            yield from files_below(path, (*above, real))
        else:
            yield path


def is_image(path: Path) -> bool:
    """Whether the file's name is an image's."""
    return path.suffix.lower() in SUFFIXES


def _open(path: Path) -> Image.Image:
    if not is_image(path):
        raise ValueError("not an image file")
    return Image.open(path)


# -- torchvision --------------------------------------------------------------------------------------------------

_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {"train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"}}
_ONE: dict[str, dict[str, Any]] = {"all": {}}
TORCHVISION: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "caltech101": ("Caltech101", _ONE),
    "cifar10": ("CIFAR10", _FLAG),
    "cifar100": ("CIFAR100", _FLAG),
    "country211": ("Country211", {**_THREE, "validation": {"split": "valid"}}),
    "dtd": ("DTD", _THREE),
    "eurosat": ("EuroSAT", _ONE),
    "fashion_mnist": ("FashionMNIST", _FLAG),
    "fgvc_aircraft": ("FGVCAircraft", _THREE),
    "flowers102": ("Flowers102", _THREE),
    "food101": ("Food101", _TWO),
    "gtsrb": ("GTSRB", _TWO),
    "imagenette": ("Imagenette", {"train": {"split": "train"}, "validation": {"split": "val"}}),
    "kmnist": ("KMNIST", _FLAG),
    "mnist": ("MNIST", _FLAG),
    "oxford_pets": ("OxfordIIITPet", {"train": {"split": "trainval"}, "test": {"split": "test"}}),
    "pcam": ("PCAM", _THREE),
    "stanford_cars": ("StanfordCars", _TWO),
    "stl10": ("STL10", _TWO),
    "svhn": ("SVHN", _TWO),
    "usps": ("USPS", _FLAG),
}


def torchvision_set(name: str, root: Path, *, download: bool) -> Source:
    """Returns a data set of torchvision from `root`; with `download`, downloads it there first. Raises BadData."""
    from torchvision import datasets

    kind, splits = TORCHVISION[name]
    try:
        made = {part: getattr(datasets, kind)(root, download=download, **options) for part, options in splits.items()}
    except (RuntimeError, OSError, ValueError) as error:
        raise BadData(
            f"data.root must hold {name}, but {root} does not ({one_line(error)}); copy it there, "
            "or set download: true where the machine may download it"
        ) from error
    parts = {part: _torchvision_part(data) for part, data in made.items()}
    count = 1 + max(int(part.labels.max()) for part in parts.values())
    titles = getattr(next(iter(made.values())), "classes", None) or [str(k) for k in range(count)]
    return Source(tuple(t if isinstance(t, str) else ", ".join(t) for t in titles), parts)


def _torchvision_part(data: Any) -> Part:
    return Part(_labels(data), lambda i: data[i][0])


def _labels(data: Any) -> NDArray[np.int64]:
    """The class numbers [n] of a torchvision data set, without decoding its images where it keeps the numbers."""
    for name in ("targets", "labels", "_labels", "y"):
        values = getattr(data, name, None)
        if values is not None:
            return np.asarray(values, dtype=np.int64)
    for name in ("_samples", "samples"):
        values = getattr(data, name, None)
        if values is not None:
            return np.array([label for _, label in values], dtype=np.int64)
    return np.array([data[i][1] for i in range(len(data))], dtype=np.int64)
