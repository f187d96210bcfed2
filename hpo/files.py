"""Files that appear whole or not at all: written beside their path, synced, then moved to it; and what paths mean.

Knows nothing of studies.
"""

from __future__ import annotations

import os
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = (".pt", ".pth", ".bin", ".safetensors")


def expanded(path: str | Path) -> Path:
    """Returns the path with a home folder in place of its ~; that of a user who does not exist stays as it is."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises for an unknown user


def names_weights(weights: str) -> bool:
    """Returns whether `model.weights` is a file's path or address, and no name such as DEFAULT."""
    return "/" in weights or weights.lower().endswith(WEIGHTS)


def write_whole(path: Path, content: bytes | memoryview, within: Path | None = None) -> None:
    """Writes a file, over an older one if there is one. A reader sees the old content or the new, never half of it.

    Folders are made as they are needed, but none outside of `within`: raises FileNotFoundError where that one is gone.
    """
    with appearing(path, within) as beside, beside.open("wb") as stream:
        stream.write(content)


def write_private(path: Path, text: str) -> None:
    """Writes a file as `write_whole` does, which only its owner may read (mode 0600) from its first byte on."""
    with appearing(path) as beside:
        beside.touch(0o600)
        beside.write_text(text, encoding="utf-8")


def create_whole(path: Path, content: bytes | memoryview, within: Path | None = None) -> bool:
    """Writes a new file. Returns False, with nothing changed, if the file exists. Needs hard links.

    `within`: as for `write_whole`.
    """
    beside = _beside(path, within)
    try:
        with beside.open("wb") as stream:
            stream.write(content)
        _sync(beside)
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    return True


@contextmanager
def appearing(path: Path, within: Path | None = None) -> Iterator[Path]:
    """Yields a path to write to; moves the file to `path` when the block ends, and deletes it if the block fails.

    `within`: see `write_whole`.
    """
    beside = _beside(path, within)
    try:
        yield beside
        _sync(beside)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)  # a full disk must not be filled with halves
        raise


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an archive's files, folders and links into a folder, by the rules of tarfile's filter for data.

    Raises tarfile.TarError for a member that would lie outside of the folder, and for devices.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    for member in archive:  # Python 3.11.2, which Debian 12 has, knows no filters
        _check_inside(member, folder.resolve())
        member.mode = member.mode & 0o755 | 0o600
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        archive.extract(member, folder)


def _check_inside(member: tarfile.TarInfo, folder: Path) -> None:
    """Raises tarfile.ExtractError for a member that leads out of the folder, by what has been unpacked there before it."""
    leads_to = [folder / member.name]
    if member.issym():
        leads_to.append(leads_to[0].parent / member.linkname)
    elif member.islnk():
        leads_to.append(folder / member.linkname)
    elif not (member.isreg() or member.isdir()):
        raise tarfile.ExtractError(
            f"{member.name!r} must be a file, a folder or a link, but is of type {member.type!r}"
        )
    for path in leads_to:
        if not path.resolve().is_relative_to(folder):
            raise tarfile.ExtractError(f"{member.name!r} must lie in the folder, but leads to {path}")


def _beside(path: Path, within: Path | None = None) -> Path:
    """Returns a hidden name in the same folder, which listings skip; makes the folder."""
    if within is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:  # one level at a time, so that no moment is left in which a folder that has just gone is made anew
        for level in range(len(path.parent.relative_to(within).parts) - 1, -1, -1):
            path.parents[level].mkdir(exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
