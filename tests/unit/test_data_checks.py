"""What `hpo check` and `hpo run` see of a study's data before anything is written, and without reading it."""

from __future__ import annotations

import socket
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from s3_servers import KEY, SECRET, S3Server, moto

from hpo import cli
from hpo.errors import StudyError
from hpo.live.validation import validate, validate_to_replay, validate_to_submit
from hpo.storage.errors import Unreachable
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


def test_a_set_that_torchvision_cannot_download_any_more_must_be_copied(tmp_path):
    from torchvision import datasets

    for path in torchvision_files.FILES["stanford_cars"][0]:
        (tmp_path / path).mkdir(parents=True)
    with pytest.raises(ValueError, match="cannot be downloaded anymore"):
        datasets.StanfordCars(tmp_path / "stanford_cars", download=True)
    with pytest.raises(StudyError, match=r":4:38: data\.download must be false for stanford_cars, which"):
        validate(study(tmp_path, "{name: stanford_cars, root: ., download: true}"))
    validate(study(tmp_path, "{name: stanford_cars, root: .}"))


def test_a_set_that_is_there_is_accepted(tmp_path):
    for path in torchvision_files.FILES["mnist"][0]:
        (tmp_path / "sets" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sets" / path).touch()
    validate(study(tmp_path, "{name: mnist, root: sets}"))
    assert set(torchvision_files.FILES) == set(TORCHVISION)


# -- S3 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    with moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture
def bucket(server, monkeypatch) -> Any:
    """A bucket with zoo/a/0.png, the mark of a folder without files, and weights."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="pictures")
    for key in ("zoo/", "zoo/a/0.png", "zoology/", "sets/a.npz", "w/a.pth"):
        client.put_object(Bucket="pictures", Key=key, Body=b"")
    return client


def remote(folder: Path, root: str, weights: str = "DEFAULT") -> Study:
    text = STUDY.replace("weights: DEFAULT", f"weights: {weights}").format(data=f"{{name: image_folder, root: {root}}}")
    (folder / "study.yaml").write_text(text)
    return Study.load(folder / "study.yaml")


@pytest.mark.parametrize(
    "root", ["pictures", "pictures/zoo", "pictures/zoo/", "pictures/zoo/a/0.png", "pictures/sets/a.npz"]
)
def test_what_is_on_s3_is_accepted(bucket, tmp_path, root):
    assert validate(remote(tmp_path, f"s3://{root}", "s3://pictures/w/a.pth")) is None


@pytest.mark.parametrize(
    ("root", "weights", "says"),
    [
        ("s3://pictures/zo", "DEFAULT", ":4:28: data.root must be there, but there are no objects below it: s3://pictures/zo;"),
        ("s3://pictures/zoology", "DEFAULT", ":4:28: data.root must be there, but there are no objects below it"),
        ("s3://pictures/a", "DEFAULT", ":4:28: data.root must be there, but there are no objects below it"),
        ("s3://nothing/a", "DEFAULT", ":4:28: data.root must be readable, but the bucket of s3://nothing/ must exist"),
        ("s3://", "DEFAULT", ":4:28: data.root must be readable, but an address on S3 must be s3://bucket/prefix"),
        ("s3://pictures/zoo", "s3://pictures/w", ":5:27: model.weights must be there, but there is no such object: s3"),
        ("s3://pictures/zoo", "s3://pictures/w/b.pth", ":5:27: model.weights must be there, but there is no such object"),
    ],
)  # fmt: skip
def test_what_is_not_on_s3_is_refused_at_its_place(bucket, tmp_path, root, weights, says):
    bad = remote(tmp_path, root, weights)
    with pytest.raises(StudyError) as refused:
        validate(bad)
    assert says in str(refused.value)
    validate(bad, elsewhere=True)
    validate_to_submit(bad)


def test_a_folder_of_many_marks_counts_by_its_files(bucket, tmp_path):
    for k in range(5):
        bucket.put_object(Bucket="pictures", Key=f"many/{k}/", Body=b"")
    with pytest.raises(StudyError, match="there are no objects below it"):
        validate(remote(tmp_path, "s3://pictures/many"))
    bucket.put_object(Bucket="pictures", Key="many/9/0.png", Body=b"")
    validate(remote(tmp_path, "s3://pictures/many"))


def test_data_that_may_not_be_read_are_refused(bucket, tmp_path, monkeypatch):
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", raising(ClientError(answer, "ListObjectsV2")))
    with pytest.raises(StudyError, match=r":4:28: data\.root must be readable, but .* the server answers AccessDenied"):
        validate(remote(tmp_path, "s3://pictures/zoo"))


def raising(error: Exception) -> Callable[..., None]:
    def call(*arguments: object, **options: object) -> None:
        raise error

    return call


def test_a_server_without_credentials_is_asked_by_no_machine_that_only_submits(server, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    asking = remote(tmp_path, "s3://pictures/zoo")
    with pytest.raises(StudyError, match=r":4:28: data\.root must be readable, but .* needs credentials"):
        validate(asking)
    validate_to_submit(asking)
    validate_to_replay(asking, table=False)


def test_a_server_that_does_not_answer_says_nothing_about_the_study(tmp_path, monkeypatch, capsys):
    with socket.socket() as deaf:  # takes connections, and never says a word
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        for url in ("http://127.0.0.1:9", f"http://127.0.0.1:{deaf.getsockname()[1]}"):
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            away = remote(tmp_path, "s3://pictures/zoo")
            began = time.monotonic()
            with pytest.raises(Unreachable, match=r"^s3://pictures/ must answer, but: "):
                validate(away)
            assert time.monotonic() - began < 20
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HPO_STORE_AWAY", "3")
    with pytest.raises(SystemExit) as left:
        cli.main(["check", str(tmp_path / "study.yaml")])
    assert left.value.code == 3
    assert "study.yaml" not in capsys.readouterr().err
    validate(away, elsewhere=True)
