"""Data sets that look usable and are not, or not as they look: nothing wrong is computed from them in silence."""

from __future__ import annotations

import io
import random
import re
import struct

import numpy as np
import pytest
from PIL import Image

from trainables import data
from trainables.errors import BadData
from trainables.image_classifier import ImageClassifier
from trainables.pixels import pixels
from trainables.sections import Data


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))


def picture(k, i=0):
    return Image.fromarray(np.full((12, 12, 3), (80 * k, 5 * i, 200), dtype=np.uint8))


def folder(root, counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(len(name) % 3, i).save(root / name / f"{i}.png")
    return root


def load(root, size=8, **settings):
    name = "npz" if str(root).endswith(".npz") else "image_folder"
    return data.load(Data.read({"name": name, "root": str(root), **settings}), image_size=size)


def sizes(found):
    return [len(part) for part in (found.train, found.validation, found.test)]


# -- pictures -----------------------------------------------------------------------------------------------------


def exif(*entries):
    """A block of one directory with (tag, type, count, value) entries."""
    body = b"".join(struct.pack("<HHI4s", tag, kind, count, value) for tag, kind, count, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + b"\0\0\0\0"


TURNED = (0x0112, 3, 1, struct.pack("<H2x", 6))


def jpeg(block):
    tall = Image.new("RGB", (16, 16))
    tall.paste((255, 255, 255), (0, 0, 16, 8))  # white above black, to be turned by 90 degrees
    buffer = io.BytesIO()
    tall.save(buffer, "JPEG", exif=block)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's own words about what is damaged
def test_no_exif_block_costs_a_picture(tmp_path):
    rng = random.Random(0)
    whole = exif((0x010E, 2, 4, b"abc\0"), TURNED, (0x8769, 4, 1, struct.pack("<I", 26)), (0x011A, 5, 1, b"\x20\0\0\0"))
    for _ in range(400):
        block = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            block[rng.randrange(6, len(block))] = rng.randrange(256)
        out = pixels(Image.open(io.BytesIO(jpeg(bytes(block)))), 8)
        assert out.shape == (8, 8, 3)
    assert pixels(Image.open(io.BytesIO(jpeg(whole))), 8)[0, [0, -1], 0].tolist() == [0, 255]


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_pillows(turn):
    from PIL import ImageOps

    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    buffer, about = io.BytesIO(), Image.Exif()
    about[0x0112] = turn
    Image.fromarray(array).save(buffer, "PNG", exif=about)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(buffer)))
    assert np.array_equal(pixels(Image.open(buffer), 4), expected)


def test_whatever_a_library_raises_is_one_image_that_cannot_be_read(tmp_path, monkeypatch):
    root = folder(tmp_path / "a", {"cat": 6, "lizard": 6})

    def breaks(picture, size, crop=False):
        if picture.filename.endswith("0.png"):
            picture.close()
            raise struct.error("unpack requires a buffer of 4 bytes")
        return pixels(picture, size, crop=crop)

    monkeypatch.setattr("trainables.pixels.pixels", breaks)
    with pytest.raises(BadData, match=r"2 of 12 images .*cat/0\.png.* \(the first: unpack requires a buffer"):
        load(root)


def deep(array, suffix):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, {"tif": "TIFF", "png": "PNG"}[suffix])
    return Image.open(buffer)


@pytest.mark.parametrize(
    ("array", "suffix", "grey"),
    [
        (np.full((4, 4), 0.5, np.float32), "tif", 128),
        (np.full((4, 4), 128.0, np.float32), "tif", 128),
        (np.full((4, 4), 32896, np.int32), "tif", 128),
        (np.full((4, 4), 65535, np.uint16), "png", 255),
        (np.full((4, 4), 4096, np.uint16), "png", 16),
        (np.zeros((4, 4), np.uint16), "png", 0),
    ],
)
def test_deep_pictures_are_scaled_by_a_stated_rule(array, suffix, grey):
    assert (pixels(deep(array, suffix), 4) == grey).all()


@pytest.mark.parametrize(
    ("array", "suffix", "message"),
    [
        (np.full((4, 4), 4095, np.uint16), "png", "values above 4095, but its largest is 4095, as of 12 bits"),
        (np.full((4, 4), 200, np.int32), "tif", "values above 4095, but its largest is 200"),
        (np.full((4, 4), 65536, np.int32), "tif", r"must lie in 0\.\.65535, but got 65536\.\.65536"),
        (np.full((4, 4), -1, np.int32), "tif", r"must lie in 0\.\.65535, but got -1"),
        (np.full((4, 4), 255.5, np.float32), "tif", r"0\.\.1 or 0\.\.255, but got 255\.5"),
        (np.full((4, 4), np.nan, np.float32), "tif", "but got nan"),
    ],
)
def test_deep_pictures_that_would_decode_wrongly_are_refused(array, suffix, message):
    with pytest.raises(ValueError, match=message):
        pixels(deep(array, suffix), 4)


# -- arrays -------------------------------------------------------------------------------------------------------

GREY = np.arange(20, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)


def npz(tmp_path, labels, images=GREY):
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    return load(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [np.uint8, np.float32, bool])
def test_one_hot_labels_are_the_numbers_they_stand_for(tmp_path, kind):
    numbers = np.arange(20) % 3
    plain = npz(tmp_path, numbers)
    data._load.cache_clear()
    found = npz(tmp_path, np.eye(3, dtype=kind)[numbers])
    assert (found.classes, found.digest) == (plain.classes, plain.digest)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(3, dtype=int)[np.arange(20) % 3] | (np.arange(20) == 4)[:, None], "one label .* image 4 has 3 of them"),
        (np.eye(3)[np.arange(20) % 3] * (np.arange(20) != 7)[:, None], "one label .* image 7 has 0 of them"),
        (np.arange(40).reshape(20, 2), r"labels of shape \[n\], or one-hot ones \[n, K\], but got \[20, 2\]"),
        (np.array([["a", "b"]] * 20), "one-hot"),
    ],
)
def test_several_labels_an_image_are_refused(tmp_path, labels, message):
    with pytest.raises(BadData, match=message):
        npz(tmp_path, labels)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int64])
def test_integers_are_bytes_or_refused_and_never_wrap(tmp_path, kind):
    labels = np.arange(20) % 2
    found = npz(tmp_path, labels, GREY.astype(kind) * 13)  # up to 247
    assert set(found.train.images.flatten().tolist()) <= {13 * i for i in range(20)}
    data._load.cache_clear()
    with pytest.raises(BadData, match=r"must lie in 0\.\.255, but got 0\.\.266; scale them"):
        npz(tmp_path, labels, GREY.astype(kind) * 14)
    if kind != np.uint16:
        with pytest.raises(BadData, match=r"must lie in 0\.\.255, but got -19\.\.0"):
            npz(tmp_path, labels, -GREY.astype(kind))


def test_booleans_are_black_and_white(tmp_path):
    found = npz(tmp_path, np.arange(20) % 2, GREY % 2 == 1)
    assert set(found.train.images.flatten().tolist()) == {0, 255}


# -- folders ------------------------------------------------------------------------------------------------------


def test_new_pictures_behind_a_link_are_noticed(tmp_path):
    folder(tmp_path / "elsewhere", {"cat": 8, "lizard": 8})
    root = tmp_path / "a"
    root.mkdir()
    for name in ("cat", "lizard"):
        (root / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    assert sum(sizes(load(root))) == 16
    picture(0, 40).save(tmp_path / "elsewhere" / "cat" / "new.png")
    data._load.cache_clear()
    assert sum(sizes(load(root))) == 17


def test_a_link_to_the_folder_it_lies_in_is_not_followed(tmp_path):
    root = folder(tmp_path / "a", {"cat": 6, "lizard": 6})
    (root / "cat" / "again").symlink_to(root / "cat", target_is_directory=True)
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    found = load(root, corrupt="skip")
    assert sum(sizes(found)) == 12 + 6, "up leads to lizard once more, and never to itself"


def test_training_and_testing_are_ready_splits(tmp_path):
    folder(tmp_path / "a" / "Training", {"cat": 10, "lizard": 10})
    folder(tmp_path / "a" / "Testing", {"cat": 3, "lizard": 4})
    assert sizes(load(tmp_path / "a")) == [16, 4, 7]


@pytest.mark.parametrize(
    ("names", "settings", "remark"),
    [
        (("train", "test", "extra"), {}, "holds extra beside its ready splits, which are not used"),
        (("train", "val", "test"), {"test": 0.2}, "the ready split test of 8 images is not used"),
        (("train", "val", "test"), {"validation": 0.2}, "the ready split validation of 8 images is not used"),
        (("train", "validation", "val", "test"), {}, "holds val.* beside its ready splits"),
        (("train", "val", "test"), {}, ""),
        (("train", "val", "test"), {"folds": 2}, ""),
    ],
)
def test_a_ready_split_that_is_not_used_is_said_and_recorded(tmp_path, caplog, names, settings, remark):
    for name in names:
        folder(tmp_path / "a" / name, {"cat": 4, "lizard": 4})
    section = {"name": "image_folder", "root": str(tmp_path / "a"), **settings}
    task = {"data": section, "model": {"name": "digits_net", "weights": "none"}}
    for _ in range(2):  # decoded anew, and from the cache
        made = ImageClassifier({"image_size": 8}, task=task, seed=0, max_epochs=1)
        said = made.provenance.get("data_remarks", "")
        assert bool(said) == bool(remark)
        assert not remark or re.search(remark, said)
        data._load.cache_clear()
    assert caplog.text.count("not used") == bool(remark), "in the log once: where it is decoded"


def test_a_class_that_is_named_like_a_split_is_said(tmp_path):
    found = load(folder(tmp_path / "a", {"cat": 6, "lizard": 6, "test": 6}))
    assert found.classes == ("cat", "lizard", "test")
    assert "no folder train, so that test counts as a class" in found.remarks[0]


def test_a_class_with_one_image_is_named(tmp_path):
    with pytest.raises(BadData, match=r"data\.validation must hold .* but none of class 'rare' is left"):
        load(folder(tmp_path / "a", {"cat": 9, "lizard": 9, "rare": 1}))
    with pytest.raises(BadData, match=r"3 folds need .* but class 'rare' has 2"):
        load(folder(tmp_path / "b", {"cat": 9, "lizard": 9, "rare": 3}), folds=3, test=3)


def test_a_class_in_test_only_is_named(tmp_path):
    arrays = {
        "train_images": GREY,
        "train_labels": np.arange(20) % 2,
        "test_images": GREY,
        "test_labels": np.arange(20) % 3,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadData, match="'2' has none: it occurs only in test"):
        load(tmp_path / "a.npz")
