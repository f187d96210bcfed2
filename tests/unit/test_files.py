"""Files appear whole or not at all, whatever goes wrong while they are written."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hpo.files import appearing, create_whole, unpack, write_whole


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(RuntimeError), appearing(path) as beside:  # noqa: PT012
        beside.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_of_two_that_create_a_file_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert create_whole(path, b"first")
    assert not create_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


Packed = Callable[..., tarfile.TarFile]


@pytest.fixture(params=["filters", "no filters"])
def packed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Packed:
    """Makes archives; with filters of tarfile, and as Python 3.11.2 does, which has none."""

    def make(*members: tuple[str, bytes, bytes | str]) -> tarfile.TarFile:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name, kind, holds in members:
                member = tarfile.TarInfo(name)
                member.type, member.mode, member.uid = kind, 0o4777, 12345
                if isinstance(holds, str):
                    member.linkname = holds
                else:
                    member.size = len(holds)
                archive.addfile(member, io.BytesIO(holds) if isinstance(holds, bytes) else None)
        return tarfile.open(fileobj=io.BytesIO(content.getvalue()))

    if request.param == "no filters" and hasattr(tarfile, "data_filter"):
        monkeypatch.setattr(tarfile.TarFile, "extraction_filter", staticmethod(tarfile.fully_trusted_filter))
        monkeypatch.delattr(tarfile, "data_filter")
    return make


def test_archives_are_unpacked_as_the_user_owns_them(packed: Packed, tmp_path: Path) -> None:
    with packed(
        ("a/deep/file", tarfile.REGTYPE, b"1"), ("a/same", tarfile.LNKTYPE, "a/deep/file"),
        ("a/there", tarfile.SYMTYPE, "deep/file"),
    ) as archive:  # fmt: skip
        unpack(archive, tmp_path)
    for name in ("deep/file", "same", "there"):
        assert (tmp_path / "a" / name).read_bytes() == b"1"
    file = (tmp_path / "a" / "deep" / "file").stat()
    assert (stat.S_IMODE(file.st_mode), file.st_uid) == (0o755, os.getuid())


@pytest.mark.parametrize(
    "members",
    [
        [("../out", tarfile.REGTYPE, b"1")],
        [("a/../../out", tarfile.REGTYPE, b"1")],
        [("link", tarfile.SYMTYPE, ".."), ("link/out", tarfile.REGTYPE, b"1")],
        [("link", tarfile.SYMTYPE, "/etc/passwd")],
        [("link", tarfile.LNKTYPE, "../secret")],
        [("pipe", tarfile.FIFOTYPE, b"")],
    ],
)
def test_nothing_is_unpacked_beside_the_folder(
    packed: Packed, members: Sequence[tuple[str, bytes, bytes | str]], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"2")
    with packed(*members) as archive, pytest.raises(tarfile.TarError):
        unpack(archive, tmp_path / "inside")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.name != "inside") == ["secret"]
