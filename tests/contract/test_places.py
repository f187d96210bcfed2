"""What every place must do, be it a folder, moto's S3 or a real S3 server, and the local copies of what lies on S3."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stores

from hpo.storage.download import download, located
from hpo.storage.errors import StorageError, Unreachable
from hpo.storage.place import place
from hpo.storage.s3_client import client
from hpo.worker.checkpoints import Checkpoints


@pytest.fixture(params=stores.PLACES)
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return stores.uri(request.param, tmp_path, monkeypatch)


@pytest.fixture(params=stores.PLACES[1:])
def remote(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return stores.uri(request.param, tmp_path, monkeypatch)


def test_a_new_place_is_empty(uri: str) -> None:
    where = place(uri)
    assert (where.read("a/b"), where.names("a"), where.folders(), where.files(), where.beginning("a")) == (
        None,
        [],
        [],
        [],
        [],
    )
    where.delete("a/b")
    where.delete_all()


def test_a_folder_that_is_moved_away_between_two_files_is_not_made_anew(tmp_path: Path) -> None:
    where, moved = place(str(tmp_path / "there")), tmp_path / "moved"
    where.replace("study/table/1", b"1")
    where.root.rename(moved)
    for write in (where.replace, where.create):
        with pytest.raises(StorageError, match=r"there must stay where it is, but it is gone; move it back"):
            write("study/table/2", b"2")
    assert not where.root.exists()
    moved.rename(where.root)
    assert where.create("study/other/2", b"2")
    where.delete_all()
    where.replace("study/table/3", b"3")
    assert where.read("study/table/3") == b"3"


def test_a_file_is_created_once_and_replaced_and_deleted(uri: str) -> None:
    where = place(uri)
    assert where.create("a/b", b"first")
    assert not where.create("a/b", b"second")
    assert where.read("a/b") == b"first"
    where.replace("a/b", memoryview(b"a third one")[2:])
    assert where.read("a/b") == b"third one"
    where.delete("a/b")
    assert where.read("a/b") is None


def test_listings_tell_names_sizes_and_times(uri: str) -> None:
    where = place(uri)
    for name in ("top", "b/2", "b/1", "b/deep/3", "a/4"):
        where.replace(name, name.encode())
    assert where.folders() == ["a", "b"]
    assert where.names("b") == ["b/1", "b/2"]
    found = {entry.name: entry for entry in where.files()}
    assert {name: entry.size for name, entry in found.items()} == {
        "a/4": 3,
        "b/1": 3,
        "b/2": 3,
        "b/deep/3": 8,
        "top": 3,
    }
    where.replace("b-5", b"another")
    assert (where.beginning("b"), where.beginning("t"), where.beginning("x")) == (["b-5"], ["top"], [])
    assert all(abs(time.time() - entry.written) < 120 for entry in found.values())


def test_all_files_are_deleted_and_those_beside_the_root_stay(uri: str) -> None:
    beside, where = place(f"{uri}2"), place(uri)
    beside.replace("a", b"stays")
    for name in ("a", "b/c"):
        where.replace(name, b"goes")
    where.delete_all()
    assert where.files() == []
    assert beside.read("a") == b"stays"


def test_checkpoints_lie_in_any_place(uri: str) -> None:
    kept = Checkpoints(f"{uri}/checkpoints")
    trial, other = "0" * 16, "1" * 16
    for epoch in (1, 2):
        kept.save(trial, epoch, lambda folder: (folder / "state").write_text("now"))
    kept.save(other, 3, lambda folder: (folder / "state").write_text("other"))
    assert kept.trials() == {trial: 2, other: 3}
    with kept.opened(trial) as found:
        assert [(epoch, (folder / "state").read_text()) for epoch, folder in found] == [(2, "now")]
    with kept.opened(trial, at_most=1) as found:
        assert list(found) == []
    kept.delete([other])
    assert kept.trials() == {trial: 2}
    kept.delete_all()
    assert kept.kept() == []


def test_a_checkpoint_that_cannot_be_written_is_an_os_error_that_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    kept = Checkpoints(str(tmp_path / "file" / "checkpoints"))
    with pytest.raises(OSError, match=r"file must be a folder, but it is a file; name another place") as error:
        kept.save("0" * 16, 1, lambda folder: None)
    assert "store" not in str(error.value).replace(str(tmp_path), "")


def test_one_object_and_all_below_a_prefix_are_copied(remote: str, tmp_path: Path) -> None:
    where = place(remote)
    for name in ("zoo/cat/1", "zoo/cat/2", "zoo/dog/1", "zoology/1"):
        where.replace(name, name.encode())
    animals, at = located(f"{remote}/zoo")
    download(animals, at, animals.files(at), tmp_path / "zoo")
    copied = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.glob("zoo/*/*")}
    assert copied == {name: name.encode() for name in ("zoo/cat/1", "zoo/cat/2", "zoo/dog/1")}
    (tmp_path / "one").mkdir()
    cat, at = located(f"{remote}/zoo/cat/1")
    download(cat, at, cat.files(at), tmp_path / "one" / "copy")
    assert (tmp_path / "one" / "copy" / "1").read_bytes() == b"zoo/cat/1"
    before = cat.tag("1")
    assert before
    assert cat.tag("3") is None
    where.replace("zoo/cat/1", b"another cat")
    assert cat.tag("1") not in (before, None)


def test_an_object_cannot_be_copied_out_of_its_folder(remote: str, tmp_path: Path) -> None:
    where, at = located(remote)
    where.replace(f"{at}/../escaped", b"")
    with pytest.raises(StorageError, match=r"an object's name must not contain '..', but got"):
        download(where, at, where.files(at), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_fails_leaves_nothing_at_its_name(remote: str, tmp_path: Path) -> None:
    where, at = located(f"{remote}/zoo")
    with pytest.raises(StorageError, match="404"):
        where.download("missing", tmp_path / "copy")
    assert os.listdir(tmp_path) == []
    place(remote).replace("zoo", b"cat")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"copy must be writable, but: "):
        where.download(at, tmp_path / "file" / "copy")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://bucket/results", "an address must be a folder or s3://bucket/prefix, but got gs://bucket/results"),
        ("s3:///results", "an address on S3 must be s3://bucket/prefix, but got s3:///results; name the bucket"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        place(address)


def test_a_place_that_does_not_answer_is_told_from_one_that_never_will(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"s3://bucket/data must answer, but: .*; is AWS_ENDPOINT_URL right\?"):
        place("s3://bucket/data").read("a")


def test_a_server_may_be_silent_for_longer_over_large_files() -> None:
    assert [client(large=large).meta.config.read_timeout for large in (False, True)] == [10, 30]


def test_only_an_address_on_s3_imports_boto3() -> None:
    code = (
        "import sys; from hpo.worker.checkpoints import Checkpoints; from hpo.store import studies; "
        "import trainables.remote; Checkpoints('none').kept(); studies('none'); assert 'boto3' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
