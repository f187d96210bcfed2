"""The files and folders that torchvision looks for before it reads one of its data sets. Imports no torch; reads nothing.

torchvision's own checks compute the digests of whole files, and need torch. tests/unit/test_data_checks.py compares.
"""

from __future__ import annotations

from pathlib import Path


def _mnist(folder: str) -> tuple[tuple[str, ...], ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    raw = tuple(f"{folder}/raw/{part}-ubyte" for part in parts)
    return raw, (f"{folder}/processed/training.pt", f"{folder}/processed/test.pt")  # of torchvision before 0.9


def _pcam() -> tuple[str, ...]:
    return tuple(f"pcam/camelyonpatch_level_2_split_{part}_{x}.h5" for part in ("train", "valid", "test") for x in "xy")


FILES: dict[str, tuple[tuple[str, ...], ...]] = {  # below data.root; any one of the tuples is enough
    "caltech101": (("caltech101/101_ObjectCategories",),),
    "cifar10": (tuple(f"cifar-10-batches-py/{n}" for n in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")),),
    "cifar100": (("cifar-100-python/train", "cifar-100-python/test"),),
    "country211": (("country211",),),
    "dtd": (("dtd/dtd",),),
    "eurosat": (("eurosat/2750",),),
    "fashion_mnist": _mnist("FashionMNIST"),
    "fgvc_aircraft": (("fgvc-aircraft-2013b",),),
    "flowers102": (("flowers-102/jpg", "flowers-102/imagelabels.mat", "flowers-102/setid.mat"),),
    "food101": (("food-101/meta", "food-101/images"),),
    "gtsrb": (("gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Test/Images"),),
    "imagenette": (("imagenette2",),),
    "kmnist": _mnist("KMNIST"),
    "mnist": _mnist("MNIST"),
    "oxford_pets": (("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),),
    "pcam": (_pcam(),),
    "stanford_cars": (
        (
            "stanford_cars/devkit/cars_train_annos.mat",
            "stanford_cars/cars_train",
            "stanford_cars/cars_test_annos_withlabels.mat",
            "stanford_cars/cars_test",
        ),
    ),
    "stl10": (tuple(f"stl10_binary/{n}.bin" for n in ("train_X", "train_y", "unlabeled_X", "test_X", "test_y")),),
    "svhn": (("train_32x32.mat", "test_32x32.mat"),),
    "usps": (("usps.bz2", "usps.t.bz2"),),
}


NO_DOWNLOAD = ("stanford_cars",)  # its address is gone, and torchvision refuses to try, even where the files are there


def missing(name: str, root: Path) -> str | None:
    """Returns the first file or folder below `root` that a set of torchvision lacks; None where it has all of them."""
    lacking = [[path for path in paths if not (root / path).exists()] for paths in FILES[name]]
    return lacking[0][0] if all(lacking) else None
