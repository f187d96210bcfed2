"""Tries whether a place can hold a store: writes one small file twice, reads it, and deletes it."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path

from hpo.storage.errors import StorageError
from hpo.storage.local import LocalPlace
from hpo.storage.place import Place, place


def examine(uri: str) -> float:
    """Returns how far the place's clock is ahead of ours, in seconds; leaves nothing behind.

    Raises StorageError, or Unreachable, for a place that cannot be read and written, or that writes over a file which must
    not exist: two drivers would then both believe that the store is theirs.
    """
    where = place(uri)
    made = isinstance(where, LocalPlace) and not where.root.exists()
    name, content = f".doctor-{secrets.token_hex(8)}", b"hpo doctor"
    try:
        before = time.time()
        if not where.create(name, content):
            raise StorageError(f"{uri} must take a new file, but says that it exists; name another place")
        written = _written(where, name)
        middle = (before + time.time()) / 2
        if where.create(name, b"again"):
            raise StorageError(
                f"{uri} must honour conditional writes (If-None-Match), but wrote over a file; use another server"
            )
        if where.read(name) != content:
            raise StorageError(f"{uri} must return what was written, but does not; name another place")
    finally:
        with suppress(StorageError):
            where.delete(name)
        if made and isinstance(where, LocalPlace):
            _remove(where.root)
    return written - middle


def _written(where: Place, name: str) -> float:
    """Returns when the place believes that the file was written."""
    if isinstance(where, LocalPlace):
        return (where.root / name).stat().st_mtime
    from hpo.storage.s3 import S3Place

    assert isinstance(where, S3Place)
    return where.files(name)[0].written


def _remove(folder: Path) -> None:
    """Deletes the folder that was made, if it is empty."""
    with suppress(OSError):
        folder.rmdir()
