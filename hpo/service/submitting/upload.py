"""The files that come with a study, as a zip archive: judged by its table of contents, then unpacked within limits."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from hpo.service.problems import Problem
from hpo.service.submitting.examined import FILE
from hpo.text import shown

FILES, BYTES, RATIO, LONGEST = 1000, 90 * 2**20, 200, 200  # files, all together unpacked, unpacked to packed, of a name
DATA = (".csv", ".tsv", ".parquet", ".npz", ".npy", ".json", ".yaml", ".yml", ".txt", ".md", ".png", ".jpg", ".jpeg", ".bmp",
        ".gif", ".webp", ".tif", ".tiff", ".safetensors", ".pt", ".pth", ".bin")  # fmt: skip
"""What files may be where a service takes no code: none of these can Python import."""
LINE, LISTED = (
    b"PK\x01\x02",
    50_000,
)  # begins a line of an archive's table, also of archives in it (.npz); the most of all
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The most that an archive may hold; `code`: whether files may be of any kind."""

    files: int = FILES
    bytes: int = BYTES
    ratio: int = RATIO
    code: bool = False


def unpack(archive: IO[bytes], folder: Path, limits: Limits) -> list[str]:
    """Unpacks an archive into an empty folder and returns the names of its files. Raises Problem 422, with nothing kept."""
    listed = archive.read().count(LINE)  # before zipfile reads the table: a long one takes it minutes
    if listed > LISTED:
        raise Problem(422, f"files must be at most {limits.files:,}, but the archive lists {listed:,}")
    archive.seek(0)
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = _checked(packed.infolist(), limits)
            left = limits.bytes
            for entry in entries:
                left -= _write(packed, entry, folder / entry.filename, min(left, entry.file_size))
            return [entry.filename for entry in entries]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise Problem(422, f"files must be a zip archive that can be read, but it cannot: {error}") from None


def _checked(entries: list[zipfile.ZipInfo], limits: Limits) -> list[zipfile.ZipInfo]:
    """Returns the files among the entries. Raises Problem for anything that is no plain file below the folder."""
    if len(entries) > limits.files:
        raise Problem(422, f"files must be at most {limits.files:,}, but the archive has {len(entries):,}")
    for entry in entries:
        if why := _wrong(entry, limits):
            raise Problem(422, f"a file of the archive {why}, but got {shown(entry.filename)}")
    found = [entry for entry in entries if not entry.is_dir()]
    seen: dict[str, str] = {}
    for name in (entry.filename for entry in found):
        for part in (name, *map(str, PurePosixPath(name).parents)):
            other = seen.setdefault(part.casefold(), part)
            if other != part:
                raise Problem(
                    422, f"files must have names that differ without case, but got {shown(other)} and {shown(part)}"
                )
    twice = [name for name, count in Counter(entry.filename for entry in found).items() if count > 1]
    if twice:
        raise Problem(422, f"an archive must hold a file once, but it holds {shown(twice[0])} twice")
    total = sum(entry.file_size for entry in found)
    if total > limits.bytes:
        raise Problem(422, f"files must have at most {limits.bytes:,} bytes together, but the archive has {total:,}")
    return found


def _wrong(entry: zipfile.ZipInfo, limits: Limits) -> str:
    """Returns what must hold for an entry; nothing where it holds."""
    name, path = entry.filename, PurePosixPath(entry.filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.flag_bits & 1:
        return "must not be encrypted"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "must be a plain file, no link and no device"
    if not name or len(name) > LONGEST or not name.isprintable() or "\\" in name or ":" in name or "//" in name:
        return f"must have a printable name of at most {LONGEST} characters without \\ and :"
    if path.is_absolute() or ".." in path.parts or any(part.startswith(".") for part in path.parts):
        return "must lie below the study's folder, with no part that begins with a dot"
    if str(path).casefold() == FILE:
        return f"must not be called {FILE}, which is the study's own"
    if entry.is_dir():
        return ""
    if not limits.code and path.suffix.lower() not in DATA:
        return f"must be data ({', '.join(DATA)}), since only a service that was started with --allow-code takes code"
    if entry.file_size > limits.ratio * max(entry.compress_size, 1024):
        return f"must not unpack to more than {limits.ratio} times its size"
    return ""


def _write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, most: int) -> int:
    """Writes a file and returns its size, whatever the table of contents says: at most `most` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with packed.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise Problem(
                    422, f"a file must be as large as the archive's table says, but {shown(entry.filename)} is larger"
                )
            target.write(chunk)
    return size
