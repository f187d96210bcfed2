"""Files that appear whole or not at all: written beside their path, synced, then moved to it; and what paths mean.

Knows nothing of studies.
"""

from __future__ import annotations

import os
import secrets
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


def create_whole(path: Path, content: bytes | memoryview) -> bool:
    """Writes a new file. Returns False, with nothing changed, if the file exists. Needs hard links."""
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
