"""Archives as bytes: .tar.gz and .zip files that hold the same files in the same bytes whenever they are made. No I/O."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from hpo.storage.errors import StorageError

SUFFIXES = (".tar.gz", ".tgz", ".zip")
MOST_BYTES = 16 * 2**30  # of all files together, so that a small file cannot fill the memory
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the oldest time that a .zip can hold: no file has the time at which it was packed


def is_archive(name: str) -> bool:
    """Tells whether the name is that of an archive."""
    return name.lower().endswith(SUFFIXES)


def packed(files: Mapping[str, bytes], name: str) -> bytes:
    """Returns an archive of the files, of the kind that `name` ends in: the same bytes for the same files."""
    sink = io.BytesIO()
    if name.lower().endswith(".zip"):
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for path in sorted(files):
                about = zipfile.ZipInfo(path, _FIRST_DAY)
                about.external_attr, about.create_system = 0o100644 << 16, 3  # a plain file, as Unix writes it
                archive.writestr(about, files[path], zipfile.ZIP_DEFLATED)
        return sink.getvalue()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size = len(files[path])
            archive.addfile(member, io.BytesIO(files[path]))
    return gzip.compress(sink.getvalue(), compresslevel=6, mtime=0)


def unpacked(content: bytes, name: str) -> dict[str, bytes]:
    """Returns the files of an archive by name.

    Raises StorageError for bytes that are no whole archive, and for one with links, with names that lead out of it or
    that two files have, or with more than `MOST_BYTES`.
    """
    read = _zipped if name.lower().endswith(".zip") else _tarred
    found: dict[str, bytes] = {}
    try:
        for path, data in read(content, name):
            if path in found:
                raise StorageError(f"the files of {name} must have different names, but two are {path!r}; get it again")
            found[path] = data
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
            RuntimeError) as error:  # fmt: skip
        raise StorageError(
            f"{name} must be a whole archive, but it cannot be read ({str(error) or type(error).__name__}); get it again"
        ) from None
    return found


def _tarred(content: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        total = 0
        for member in archive:
            _check(member.name, member.isreg() or member.isdir(), total := total + member.size, name)
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None:
                data = stream.read()
                if len(data) != member.size:
                    raise EOFError(f"{member.name} ends early")
                yield member.name, data


def _zipped(content: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        total = 0
        for member in archive.infolist():
            kind = (member.external_attr >> 16) & 0o170000
            _check(
                member.filename.rstrip("/"), kind in (0, 0o100000, 0o040000), total := total + member.file_size, name
            )
            if not member.is_dir():
                yield member.filename, archive.read(member)


def _check(path: str, plain: bool, total: int, name: str) -> None:
    if (
        not path
        or path.startswith("/")
        or "\\" in path
        or ".." in PurePosixPath(path).parts
        or ":" in path.split("/")[0]
    ):
        raise StorageError(
            f"the names in {name} must stay inside the archive, but got {path!r}; do not trust this file"
        )
    if not plain:
        raise StorageError(f"{name} must hold plain files, but {path!r} is a link or a device; do not trust this file")
    if total > MOST_BYTES:
        raise StorageError(f"{name} must hold at most {MOST_BYTES >> 30} GiB, but it holds more; unpack it by hand")
