"""Sealed archives: the same bytes for the same files, a place that is read only, and a sentence for each that is none."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from hpo.storage.archive import MANIFEST, ArchivePlace, sealed, write_archive
from hpo.storage.archive_file import packed, unpacked
from hpo.storage.errors import StorageError
from hpo.storage.place import is_sealed, place

FILES = {"a/one": b"1", "a/deep/two": b"", "b/three": bytes(range(256)) * 99, "top": b"t", "a/.hidden": b"h"}
KINDS = ("x.tar.gz", "x.zip")


@pytest.mark.parametrize("name", KINDS)
def test_the_same_files_give_the_same_bytes_in_any_order_and_come_back(name: str) -> None:
    content = packed(FILES, name)
    assert packed(dict(reversed(FILES.items())), name) == content
    assert unpacked(content, name) == FILES


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_is_a_place_that_refuses_to_be_written(name: str, tmp_path: Path) -> None:
    write_archive(tmp_path / name, sealed(FILES, {"about": "this"}))
    where = place(str(tmp_path / name))
    assert isinstance(where, ArchivePlace)
    assert (where.read("b/three"), where.read("b/four")) == (FILES["b/three"], None)
    assert where.folders() == ["a", "b"]
    assert (where.names("a"), where.names("a/deep"), where.names("c")) == (["a/one"], ["a/deep/two"], [])
    assert [(e.name, e.size) for e in where.files()][:2] == [("a/deep/two", 0), ("a/one", 1)]
    assert (where.manifest["about"], list(where.broken())) == ("this", [])
    before = (tmp_path / name).read_bytes()
    for write in (
        lambda: where.create("new", b""), lambda: where.replace("top", b""), lambda: where.delete("top"), where.delete_all,
    ):  # fmt: skip
        with pytest.raises(StorageError, match="is a bundle, and nothing is written into one; name another store"):
            write()
    assert (tmp_path / name).read_bytes() == before


def test_every_change_is_named_also_of_the_manifest(tmp_path: Path) -> None:
    files = sealed(FILES, {})

    def found(changed: dict[str, bytes]) -> list[str]:
        write_archive(tmp_path / "x.zip", changed)
        return list(ArchivePlace(str(tmp_path / "x.zip")).broken())

    for name in FILES:
        assert found({**files, name: files[name] + b"x"}) == [f"{name} was changed after the bundle was made"]
        assert found({n: c for n, c in files.items() if n != name}) == [f"{name} is missing"]
    assert found({**files, "new": b""}) == ["new was added after the bundle was made"]
    manifest = json.loads(files[MANIFEST])
    text = json.dumps({**manifest, "more": 1}).encode()
    assert found({**files, MANIFEST: text}) == ["manifest.json was changed after the bundle was made"]


def _tar(*members: tarfile.TarInfo) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return sink.getvalue()


def _zip(*names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return sink.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def _link_in_a_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        about = zipfile.ZipInfo("link")
        about.external_attr = 0o120777 << 16
        archive.writestr(about, "/etc/passwd")
    return sink.getvalue()


def _twice(name: str) -> bytes:
    return _tar(_member(name, size=1), _member(name, size=1))


def _with(manifest: object) -> bytes:
    return packed({MANIFEST: json.dumps(manifest).encode()}, "x.zip")


BAD = [
    ("x.tar.gz", b"plain text", "must be a whole archive, but it cannot be read"),
    ("x.zip", b"plain text", "must be a whole archive, but it cannot be read"),
    ("x.tar.gz", b"", "must be a whole archive, but it cannot be read"),
    *(("x.tar.gz", packed(sealed(FILES, {}), "x.tar.gz")[:n], "must be a whole archive, but it") for n in (20, 200, 900)),
    ("x.zip", packed(sealed(FILES, {}), "x.zip")[:-30], "must be a whole archive, but it cannot be read"),
    *((f"x.{kind}", make(name), "must stay inside the archive")
      for name in ("../up", "/etc/passwd", "a/../../up", "a\\..\\up", "C:/up")
      for kind, make in (("tar.gz", lambda name: _tar(_member(name))), ("zip", _zip))),
    ("x.tar.gz", _tar(_member("link", tarfile.SYMTYPE, "/etc/passwd")), "'link' is a link or a device"),
    ("x.tar.gz", _tar(_member("link", tarfile.LNKTYPE, "other")), "'link' is a link or a device"),
    ("x.tar.gz", _tar(_member("null", tarfile.CHRTYPE)), "'null' is a link or a device"),
    ("x.zip", _link_in_a_zip(), "'link' is a link or a device"),
    ("x.tar.gz", _twice("a"), "must have different names, but two are 'a'"),
    ("x.zip", _zip("photo.jpg"), "must be a bundle that `hpo bundle` made, but it has no manifest.json"),
    ("x.zip", _with([]), "must be a bundle that `hpo bundle` made"),
    ("x.zip", _with({"format": "hpo-bundle", "files": {}}), "must be a bundle that `hpo bundle` made"),
    ("x.zip", _with({"format": "hpo-bundle", "version": 2, "files": {}}),
     "must be a bundle of version 1 or older, but it is of version 2; upgrade hpo-arena"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said"), BAD, ids=range(len(BAD)))
def test_what_is_no_bundle_is_refused_in_one_sentence(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorageError, match=said) as error:
        place(str(tmp_path / name))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(_tar_of_one_huge_file())
    with pytest.raises(StorageError, match="must hold at most 16 GiB, but it holds more"):
        place(str(tmp_path / "x.tar.gz"))


def _tar_of_one_huge_file() -> bytes:
    import gzip

    return gzip.compress(_member("huge", size=2**40).tobuf(tarfile.GNU_FORMAT) + b"\0" * 512)


def test_a_bundle_that_is_not_there_and_a_folder_of_such_a_name(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="must be readable, but: No such file"):
        place(str(tmp_path / "none.zip"))
    (tmp_path / "folder.zip").mkdir()
    assert not is_sealed(str(tmp_path / "folder.zip"))
    assert not is_sealed("s3://bucket/x.zip")
    place(str(tmp_path / "folder.zip")).replace("a", b"")


def test_a_bundle_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"must end in .tar.gz or .zip, but got x.rar; name another file"):
        write_archive(tmp_path / "x.rar", {})
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="must be writable, but"):
        write_archive(tmp_path / "file" / "x.zip", {})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="No space left on device"):
        write_archive(tmp_path / "x.zip", {"a": b""})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
