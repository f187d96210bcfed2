"""Analyses that are made, as files in the service's cache folder, within a limit of size. Several services may share it."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

RECENT_SECONDS = 600.0  # a file that was asked for since then may be on its way to a reader
LEFT_SECONDS = 3600.0  # what is older and unfinished was left by a service that was killed


class Shelf:
    """Files by ETag. One appears whole or not at all; the one that was asked for longest ago goes first."""

    def __init__(self, cache: Path, size: int) -> None:
        self._made, self._asked, self._size = cache / "made", cache / "asked", size

    def prepare(self) -> None:
        """Makes the folders, which only this user may read; where they cannot be made, the first analysis says so."""
        with suppress(OSError):
            for folder in (self._made, self._asked):
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode=0o700, exist_ok=True)

    def path(self, etag: str, suffix: str) -> Path:
        """Returns where the file is, or is to be."""
        return self._made / f"{etag}{suffix}"

    def folder(self, name: str) -> Path:
        """Returns the folder in which studies wait for their process."""
        return self._asked / name

    def find(self, etag: str, suffix: str) -> Path | None:
        """Returns the file if it is there, and notes that it was asked for."""
        path = self.path(etag, suffix)
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def tidy(self) -> None:
        """Deletes files until the others fit into the size, and what a killed service left."""
        now, found = time.time(), []
        for path in self._files():
            with suppress(OSError):
                stat = path.stat()
                if path.name.startswith("."):
                    if now - stat.st_mtime > LEFT_SECONDS:
                        path.unlink()
                else:
                    found.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        for asked, size, path in sorted(found):
            if total <= self._size or now - asked < RECENT_SECONDS:
                break
            with suppress(OSError):
                path.unlink()
                total -= size
        self._drop_folders(now)

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return [path for path in self._made.iterdir() if path.is_file()]
        return []

    def _drop_folders(self, now: float) -> None:
        with suppress(OSError):
            for folder in self._asked.iterdir():
                if now - folder.stat().st_mtime > LEFT_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
