"""What `hpo check` and `hpo run` see of a study's data before anything is written, and without reading it."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hpo.errors import StudyError
from hpo.live.validation import validate
from hpo.study.study import Study
from trainables import torchvision_files
from trainables.arrays import layout
from trainables.sources import TORCHVISION

STUDY = """
study: images
trainable: image_classifier
data: {data}
model: {{name: digits_net, weights: DEFAULT}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.03, log: true}}
fixed: {{batch_size: 8, image_size: 32}}
budget: {{epochs: 16, max_epochs: 4}}
methods: [random]
"""
IMAGES, LABELS = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2


def study(folder: Path, data: str) -> Study:
    (folder / "study.yaml").write_text(STUDY.format(data=data))
    return Study.load(folder / "study.yaml")


# -- arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"images": IMAGES, "labels": LABELS}, {"all"}),
        ({"x": IMAGES[..., None] / 255, "y": LABELS.astype(str)}, {"all"}),
        ({"images": IMAGES[:, None].repeat(3, 1), "labels": np.eye(2)[LABELS]}, {"all"}),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:3], "y_test": LABELS[:3, None]}, {"train", "test"}),
        ({"train_images": IMAGES, "train_labels": LABELS, "val_images": IMAGES[:0], "val_labels": LABELS[:0]},
         {"train", "validation"}),
        ({"images": IMAGES, "labels": LABELS, "names": np.array([{}], object)}, {"all"}),
    ],
)  # fmt: skip
def test_arrays_that_are_a_task_are_accepted_without_reading_them(tmp_path, monkeypatch, arrays, parts):
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    monkeypatch.setattr(np, "load", None)
    validate(study(tmp_path, "{name: npz, root: a.npz, validation: 0.2}"))
    assert set(layout(tmp_path / "a.npz").parts) == parts


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"pictures": IMAGES, "labels": LABELS}, "must hold arrays images and labels (or train_images, ...), but got ['labels'"),
        ({"images": IMAGES}, "must hold arrays images and labels (or train_images, ...), but got ['images']"),
        ({"x_test": IMAGES, "y_test": LABELS}, "must hold arrays images and labels"),
        ({}, "must hold arrays images and labels (or train_images, ...), but got []"),
        ({"images": IMAGES.reshape(20, 16), "labels": LABELS}, "[n, 1 or 3, H, W], but got [20, 16]"),
        ({"images": IMAGES[:, None, None], "labels": LABELS}, "must have shape [n, H, W], [n, H, W, 1 or 3] or"),
        ({"images": np.zeros((20, 4, 4, 4)), "labels": LABELS}, "[n, 1 or 3, H, W], but got [20, 4, 4, 4]"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "must hold images, but its shape is [0, 4, 4]"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, "images of data.root"),
        ({"images": IMAGES.astype(object), "labels": LABELS}, "must hold numbers, but it holds Python objects, which are not"),
        ({"images": IMAGES, "labels": LABELS.astype(object)}, "must hold numbers or strings, but it holds Python objects"),
        ({"images": IMAGES, "labels": LABELS[:19]}, "as many labels as images, but got 19 in labels and 20 in images"),
        ({"images": IMAGES, "labels": np.array(3)}, "must hold labels of shape [n], or one-hot ones [n, K], but got []"),
        ({"images": IMAGES, "labels": np.array([["a", "b"]] * 20)}, "one-hot ones [n, K], but got [20, 2]"),
        ({"train_images": IMAGES, "train_labels": LABELS, "val_images": IMAGES[:, 0], "val_labels": LABELS},
         "val_images of data.root"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS[:4]}, "got 4 in y_test and 20 in x_test"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_task_are_refused_by_their_headers(tmp_path, monkeypatch, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(StudyError) as refused:
        validate(study(tmp_path, "{name: npz, root: a.npz}"))
    assert str(refused.value).startswith(f"{tmp_path}/study.yaml:4:19: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut short", b"\x93NUMPY", b"", None])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    if content is None:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
            file.writestr("images.npy", b"no array")
    else:
        (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(
        StudyError, match=r":4:19: data\.root .* must be an \.npz file of plain arrays, but it is not: \w"
    ):
        validate(study(tmp_path, "{name: npz, root: a.npz}"))


def test_a_folder_is_no_file_of_arrays(tmp_path):
    with pytest.raises(StudyError, match=r":4:19: data\.root .* must be an \.npz file of plain arrays"):
        validate(study(tmp_path, "{name: npz, root: .}"))


def test_an_array_without_its_partner_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES)
    (remark,) = layout(tmp_path / "a.npz").remarks
    assert remark == f"the array x_test of {tmp_path}/a.npz is not used: it has no y_test beside it"


# -- torchvision's sets -------------------------------------------------------------------------------------------


class Looked(Exception):
    """Ends the making of a data set once torchvision has looked for its files."""


def found_by_torchvision(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether every part of the set is there by torchvision's own check, without the digests of its files."""
    from torchvision import datasets

    kind, parts = TORCHVISION[name]
    maker = getattr(datasets, kind)
    answers: list[bool] = []

    def look(self: object, check: Callable[[object], bool]) -> None:
        answers.append(check(self))
        raise Looked

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "h5py", ModuleType("h5py"))  # pcam imports it before it looks
        for owner in maker.__mro__:
            patch.setattr(
                f"{owner.__module__}.check_integrity", lambda path, md5=None: Path(path).exists(), raising=False
            )
        for method in ("_check_exists", "_check_integrity"):
            if check := getattr(maker, method, None):
                patch.setattr(maker, method, partialmethod(look, check))
        for options in parts.values():
            try:
                maker(root, download=False, **options)
            except Looked:
                continue
            except OSError as error:  # of a set that is opened without a check: USPS, and MNIST's of old versions
                answers.append(not isinstance(error, FileNotFoundError))
    return all(answers)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_files_of_torchvisions_sets_are_those_that_it_looks_for(tmp_path, monkeypatch, name):
    for k, paths in enumerate(torchvision_files.FILES[name]):
        for lacking in (None, *paths):
            root = tmp_path / f"{k}{lacking}".replace("/", "-")
            root.mkdir()
            for path in paths:
                if path != lacking:
                    (root / path).mkdir(parents=True)  # a folder passes for a file until it is read
            assert (torchvision_files.missing(name, root) is None) == (lacking is None), lacking
            assert found_by_torchvision(name, root, monkeypatch) == (lacking is None), lacking


@pytest.mark.parametrize("root", ["root: sets", "root: gone", "seed: 0"])
def test_a_set_that_is_neither_there_nor_downloaded_is_refused(tmp_path, monkeypatch, root):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sets" / "cifar-100-python").mkdir(parents=True)
    with pytest.raises(
        StudyError, match=r":4:\d+: data\.root must hold cifar10, but .* has no cifar-10-batches-py/data_batc"
    ):
        validate(study(tmp_path, f"{{name: cifar10, {root}}}"))
    validate(study(tmp_path, f"{{name: cifar10, {root}, download: true}}"))
    validate(study(tmp_path, f"{{name: cifar10, {root}}}"), elsewhere=True)
    assert not (tmp_path / "cache").exists(), "a check writes nothing"


def test_a_set_that_is_there_is_accepted(tmp_path):
    for path in torchvision_files.FILES["mnist"][0]:
        (tmp_path / "sets" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sets" / path).touch()
    validate(study(tmp_path, "{name: mnist, root: sets}"))
    assert set(torchvision_files.FILES) == set(TORCHVISION)
