"""Files appear whole or not at all: written beside their place, synced, then moved there. Knows nothing of studies."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file, in place of an older one: a reader sees the old content or the new, never half of one."""
    with appearing(path) as beside, beside.open("wb") as stream:
        stream.write(content)


def create_whole(path: Path, content: bytes | memoryview) -> bool:
    """Writes a file that must not exist yet; False, with nothing changed, where it does. Needs hard links."""
    beside = _beside(path)
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
def appearing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write a file at; moves it to `path` at the end, deletes it where the block fails."""
    beside = _beside(path)
    try:
        yield beside
        _sync(beside)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)  # a full disk must not be filled with halves
        raise


def _beside(path: Path) -> Path:
    """A hidden name in the same folder, so that listings pass it over; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
