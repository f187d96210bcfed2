"""Data sets: splits that every method shares, decoded once, and what is refused."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from trainables import data, sources
from trainables.errors import BadData, InvalidConfig
from trainables.pixels import pixels
from trainables.sections import Data
from trainables.task import Task

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def folder(root, counts=(12, 10, 8), size=20):
    """A folder of PNGs, one colour a class and one shade an image."""
    for k, count in enumerate(counts):
        (root / f"class{k}").mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image(k, i, size).save(root / f"class{k}" / f"{i}.png")
    return root


def image(k, i=0, size=20):
    return Image.fromarray(np.full((size, size, 3), (80 * k, 5 * i, 200), dtype=np.uint8))


def load(root, size=8, **settings):
    return read({"name": "image_folder", "root": str(root), **settings}, size)


def read(section, size=8):
    return data.load(Data.read(section), image_size=size)


def rows(split):
    """Each image's class and shade, from its pixels: what image it is."""
    return {(int(r) // 80, int(g) // 5) for r, g in split.images[:, :2, 0, 0].tolist()}


# -- splits -------------------------------------------------------------------------------------------------------


def test_splits_are_disjoint_stratified_and_the_same_each_time(tmp_path):
    one, again = (load(folder(tmp_path / "a"), corrupt=c) for c in ("refuse", "skip"))
    assert [len(s) for s in (one.train, one.validation, one.test)] == [19, 5, 6]
    assert one.digest == again.digest
    assert len(rows(one.train) | rows(one.validation) | rows(one.test)) == 30
    for split in (one.train, one.validation, one.test):
        assert (split.images[:, 0, 0, 0] // 80).tolist() == split.labels.tolist()
        assert torch.bincount(split.labels, minlength=3).min() >= 1
    assert rows(load(tmp_path / "a", seed=1).test) != rows(one.test)


def test_a_smaller_training_part_leaves_the_other_splits_alone(tmp_path):
    whole = load(folder(tmp_path / "a"))
    part = load(tmp_path / "a", train=9)
    assert len(part.train) == 9
    assert rows(part.train) < rows(whole.train)
    assert (rows(part.validation), rows(part.test)) == (rows(whole.validation), rows(whole.test))


def test_balanced_and_per_class_counts(tmp_path):
    found = load(folder(tmp_path / "a"), train=6, validation=3, test="2 per class", balanced=True)
    for split, count in ((found.train, 2), (found.validation, 1), (found.test, 2)):
        assert torch.bincount(split.labels).tolist() == [count] * 3


def test_ready_splits_are_kept(tmp_path):
    for name, counts in (("train", (6, 6)), ("val", (2, 3)), ("test", (1, 1))):
        folder(tmp_path / "a" / name, counts)
    found = load(tmp_path / "a")
    assert [len(s) for s in (found.train, found.validation, found.test)] == [12, 5, 2]
    carved = load(tmp_path / "a", validation=0.5, test="val")
    assert [len(s) for s in (carved.train, carved.validation, carved.test)] == [6, 6, 5]
    with pytest.raises(BadData, match=r"data.validation must be .* ready split \(validation\), but got 'test'"):
        load(tmp_path / "a", validation="test")


def test_folds_cover_the_pool_and_are_views(tmp_path):
    found = load(folder(tmp_path / "a"), folds=4)
    pool = rows(found.train) | rows(found.validation)
    assert len(found.folds) == 4
    assert len(pool) == 24
    seen = set()
    for k in range(4):
        fold = found.fold(k)
        assert rows(fold.train) | rows(fold.validation) == pool
        assert not rows(fold.train) & rows(fold.validation)
        assert not rows(fold.validation) & seen
        seen |= rows(fold.validation)
        assert fold.train.images.untyped_storage().data_ptr() == found.test.images.untyped_storage().data_ptr()
        assert (fold.train.images[:, 0, 0, 0] // 80).tolist() == fold.train.labels.tolist()
        assert fold.digest != found.digest
    assert seen == pool
    with pytest.raises(BadData, match=r"must not be given with data\.folds"):
        load(tmp_path / "a", folds=4, validation=0.2)


# -- sources ------------------------------------------------------------------------------------------------------


def test_digits():
    found = read({"name": "digits", "train": 300}, 16)
    assert found.train.images.shape == (300, 3, 16, 16)
    assert found.train.images.dtype == torch.uint8
    assert found.classes == tuple("0123456789")
    assert torch.bincount(found.train.labels).min() >= 28
    assert found.train.images.is_contiguous(memory_format=torch.channels_last)


def test_the_digits_are_scikit_learns():
    bunch, found = load_digits(), sources.digits().parts["all"]
    assert found.labels.tolist() == bunch.target.tolist()
    images = np.stack([found.image(i) for i in range(len(found.labels))])
    assert np.array_equal(images, (bunch.images * (255 / 16)).round())


@pytest.mark.parametrize("style", ["plain", "keras", "medmnist"])
def test_npz(tmp_path, style):
    labels = np.array([3, 7] * 10)
    grey = np.arange(20)[:, None, None].repeat(8, 1).repeat(8, 2).astype(np.uint8)
    arrays = {
        "plain": {"images": grey / 255.0, "labels": labels},
        "keras": {"x_train": grey[:, None], "y_train": labels, "x_test": grey[:4], "y_test": labels[:4]},
        "medmnist": {f"{s}_images": grey[..., None] for s in ("train", "val", "test")}
        | {f"{s}_labels": labels[:, None] for s in ("train", "val", "test")},
    }[style]
    np.savez(tmp_path / "a.npz", **arrays)
    found = read({"name": "npz", "root": str(tmp_path / "a.npz")})
    assert found.classes == ("3", "7")
    sizes = {"plain": [13, 3, 4], "keras": [16, 4, 4], "medmnist": [20, 20, 20]}[style]
    assert [len(s) for s in (found.train, found.validation, found.test)] == sizes
    assert (found.train.images[:, 0, 0, 0] % 2).tolist() == found.train.labels.tolist()


def test_a_set_of_torchvision_by_name(tmp_path):
    if not (SHARED / "fashion-mnist").is_dir():
        pytest.skip("needs ../shared/data/fashion-mnist")
    settings = {"name": "fashion_mnist", "root": str(SHARED / "fashion-mnist"), "validation": 100, "test": 200}
    found = read({**settings, "train": 200, "balanced": True}, 28)
    assert found.classes[0] == "T-shirt/top"
    assert torch.bincount(found.train.labels).tolist() == [20] * 10
    assert (len(found.validation), len(found.test)) == (100, 200)


def test_a_set_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"must hold cifar10, but .* set download: true"):
        read({"name": "cifar10", "root": str(tmp_path)})


def test_every_named_set_is_one_of_torchvisions():
    from torchvision import datasets

    assert all(hasattr(datasets, kind) for kind, _ in sources.TORCHVISION.values())
    assert [name for name, _ in data.names()][:3] == ["digits", "image_folder", "npz"]


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1", "LA", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    picture = Image.new("L", (9, 7), 128)
    picture = Image.new(mode, (9, 7), 32896) if mode.startswith("I") else picture.convert(mode)
    suffix = {"CMYK": "jpg", "F": "tif", "I": "tif"}.get(mode, "png")
    picture.save(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        out = pixels(opened, 8)
    assert out.shape == (8, 8, 3)
    assert out.dtype == np.uint8
    assert abs(out.astype(int).mean() - 128) < 3 or mode == "1"


def test_transparent_pixels_are_white_not_what_lies_below():
    picture = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (pixels(picture, 4) == 255).all()


def test_a_crop_is_the_middle_in_its_proportions(tmp_path):
    wide = np.zeros((24, 96, 3), np.uint8)
    wide[:, 36:48], wide[:, 48:60] = 100, 200
    for array in (wide, wide.transpose(1, 0, 2)):
        out = pixels(Image.fromarray(array), 8, crop=True).astype(int)
        out = out if array is wide else out.transpose(1, 0, 2)
        assert abs(out[:, :4] - 100).max() < 30, "the left half of the middle square, its edges smoothed"
        assert abs(out[:, 4:] - 200).max() < 30
    root = folder(tmp_path / "a")
    assert load(root, fit="crop").digest == load(root).digest, "squares stay what they are"


def test_pictures_of_any_size_and_turned_ones(tmp_path):
    for size in ((1, 1), (20_000, 3), (3, 20_000)):
        assert pixels(Image.new("RGB", size, (1, 2, 3)), 8).reshape(-1, 3).tolist() == [[1, 2, 3]] * 64
    tall = Image.new("RGB", (8, 8))
    tall.paste((255, 255, 255), (0, 0, 8, 4))  # white above black, to be turned by 90 degrees
    exif = Image.Exif()
    exif[274] = 6
    tall.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert pixels(opened, 8)[0, :, 0].tolist() == [0] * 4 + [255] * 4


# -- the cache ----------------------------------------------------------------------------------------------------


def test_decoded_once_and_shared_between_processes(tmp_path, cache):
    one = load(folder(tmp_path / "a"))
    files = list((cache / "data").rglob("images.npy"))
    assert len(files) == 1
    before = files[0].stat().st_mtime_ns
    code = (
        "from trainables import data; from trainables.sections import Data\n"
        f"d = data.load(Data(name='image_folder', root={str(tmp_path / 'a')!r}), image_size=8)\n"
        "d.train.images[0] = 7\n"  # a mistake that must not reach anybody else
        "print(d.digest)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == one.digest
    assert files[0].stat().st_mtime_ns == before
    assert not (one.train.images[0] == 7).all()


def test_what_a_killed_process_left_is_swept_away(tmp_path, cache):
    load(folder(tmp_path / "a"))
    whole = next((cache / "data").iterdir())
    left = whole.with_name(whole.name + ".part")
    os.replace(whole, left)
    data._load.cache_clear()
    assert len(load(tmp_path / "a").train) == 19
    assert [p.name for p in (cache / "data").iterdir()] == [whole.name]


def test_changed_files_are_decoded_anew(tmp_path):
    first = load(folder(tmp_path / "a"))
    image(0, 40).save(tmp_path / "a" / "class0" / "40.png")
    data._load.cache_clear()
    assert load(tmp_path / "a").digest != first.digest


def test_the_digest_is_of_the_content_not_of_the_place(tmp_path):
    folder(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert load(tmp_path / "a").digest == load(tmp_path / "b").digest
    assert load(tmp_path / "a").digest != load(tmp_path / "a", size=9).digest


def test_files_are_closed_when_they_have_been_read(tmp_path):
    root = folder(tmp_path / "a")
    for name in ("more.gif", "more.tif"):  # of kinds that may hold several pictures: Pillow leaves them open
        image(0, 40).save(root / "class0" / name)
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 4, 4), np.uint8), labels=np.arange(20) % 2)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        load(root)
        read({"name": "npz", "root": str(tmp_path / "a.npz")})
        gc.collect()
    assert [str(warning.message) for warning in found if warning.category is ResourceWarning] == []


# -- bad input ----------------------------------------------------------------------------------------------------


def spoil(root):
    (root / "class1" / "notes.txt").write_text("not a picture")
    whole = (root / "class0" / "0.png").read_bytes()
    image(0, 1, 200).save(root / "class0" / "cut.jpg")
    cut = (root / "class0" / "cut.jpg").read_bytes()
    (root / "class0" / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    (root / "class2" / "empty.png").write_bytes(b"")
    (root / "class2" / "half.png").write_bytes(whole[: len(whole) // 2])
    return root


def test_corrupt_images_are_counted_named_and_refused(tmp_path):
    with pytest.raises(BadData, match=r"4 of 34 images .*class0/cut.jpg") as caught:
        load(spoil(folder(tmp_path / "a")))
    assert "class1/notes.txt" in str(caught.value)
    assert "set data.corrupt: skip" in str(caught.value)
    assert not list((tmp_path / "cache" / "data").iterdir())


@pytest.mark.parametrize("folds", [None, 3])
def test_corrupt_images_are_skipped_where_the_study_says_so(tmp_path, folds):
    found = load(spoil(folder(tmp_path / "a")), corrupt="skip", folds=folds)
    assert sorted(Path(name).name for name in found.skipped) == ["cut.jpg", "empty.png", "half.png", "notes.txt"]
    splits = (found.train, found.validation, found.test)
    assert sum(map(len, splits)) == 30
    for split in splits:
        assert (split.images[:, 0, 0, 0] // 80).tolist() == split.labels.tolist()


def test_hidden_files_and_nested_folders(tmp_path):
    root = folder(tmp_path / "a")
    (root / "class0" / ".DS_Store").write_text("")
    (root / ".git").mkdir()
    (root / "class0" / "more").mkdir()
    image(0, 40).save(root / "class0" / "more" / "x.png")
    found = load(root)
    assert sum(len(s) for s in (found.train, found.validation, found.test)) == 31


@pytest.mark.parametrize(
    ("spoil_it", "message"),
    [
        (lambda root: [shutil.rmtree(root / f"class{k}") for k in (1, 2)], "at least two classes, but got .'class0'."),
        (lambda root: (root / "class3").mkdir(), "every class must have images, but .*class3 has none"),
        (lambda root: shutil.rmtree(root), "must be a folder of images, but there is none at"),
    ],
)
def test_folders_that_are_no_task_are_refused(tmp_path, spoil_it, message):
    root = folder(tmp_path / "a")
    spoil_it(root)
    with pytest.raises(BadData, match=message):
        load(root)


def test_a_class_whose_every_image_is_corrupt_is_refused_even_when_skipping(tmp_path):
    root = folder(tmp_path / "a")
    for path in (root / "class1").iterdir():
        path.write_text("gone")
    with pytest.raises(BadData, match="must have readable images to train on, but 'class1' has none"):
        load(root, corrupt="skip")


def test_a_class_that_only_the_test_split_has_is_refused(tmp_path):
    folder(tmp_path / "a" / "train", (4, 4))
    folder(tmp_path / "a" / "test", (1, 1, 1))
    with pytest.raises(BadData, match="only classes that train has, but got 'class2'"):
        load(tmp_path / "a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "digitz"}, "data.name must be one of digits, .* but got 'digitz'"),
        ({"name": "npz"}, "data.root must be given for npz"),
        ({"name": "npz", "root": "absent.npz"}, "must be an .npz file, but there is none"),
        ({"name": "digits", "corrupt": "ignore"}, "refuse or skip"),
        ({"name": "digits", "fit": "pad"}, "data.fit must be squeeze or crop, but got 'pad'"),
        ({"name": "digits", "folds": 1}, "data.folds >= 2 must hold"),
        ({"name": "digits", "train": 5}, "data.train must hold at least one image of each of the 10 classes"),
        ({"name": "digits", "train": 5000}, "needs 5000 images"),
        ({"name": "digits", "validation": "later"}, r"ready split \(none here\), but got 'later'"),
    ],
)
def test_settings_that_cannot_hold_are_refused(settings, message):
    with pytest.raises(BadData, match=message):
        read(settings)


@pytest.mark.parametrize("size", [0, -3, 2.5, True])
def test_an_impossible_image_size_is_an_impossible_configuration(size):
    with pytest.raises(InvalidConfig, match="image_size must be a whole number >= 1"):
        read({"name": "digits"}, size)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": np.zeros(3)},
        {"images": np.zeros((4, 2, 2), np.uint8), "labels": np.zeros(4)},
        {"images": np.zeros((4, 2, 2), np.uint8), "labels": np.array([0, 1])},
        {"images": np.array([{}], dtype=object), "labels": np.array([0])},
    ],
)
def test_arrays_that_are_no_task_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadData, match="must"):
        read({"name": "npz", "root": str(tmp_path / "a.npz")})


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut short", b"\x93NUMPY", b""])
def test_files_that_are_no_arrays_are_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadData, match=r"a\.npz must be an \.npz file of plain arrays, but it is not: \w"):
        read({"name": "npz", "root": str(tmp_path / "a.npz")})


def test_a_single_array_is_no_task(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 2, 2), np.uint8))
    with pytest.raises(BadData, match=r"must be an \.npz file of plain arrays"):
        read({"name": "npz", "root": str(tmp_path / "a.npy")})


def test_a_full_disk_is_reported_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1))
    with pytest.raises(BadData, match="set HPO_CACHE to a larger disk"):
        load(folder(tmp_path / "a"))


def test_the_final_training_takes_the_whole_training_part(tmp_path):
    task = {
        "data": {"name": "image_folder", "root": str(folder(tmp_path / "a")), "train": 6, "validation": 6, "test": 6}
    }
    subset = data.load(Data.of(Task.from_json(task)), image_size=8)
    whole = data.load(Data.of(Task.from_json({**task, "train_on": "full"})), image_size=8)
    assert (len(subset.train), len(whole.train)) == (6, 18)
    assert rows(whole.test) == rows(subset.test)
    assert rows(whole.validation) == rows(subset.validation)
    some = data.load(Data.of(Task.from_json({**task, "train_on": 15})), image_size=8)
    assert (len(some.train), rows(some.validation), rows(some.test)) == (15, rows(whole.validation), rows(whole.test))
    assert task["data"]["train"] == 6
