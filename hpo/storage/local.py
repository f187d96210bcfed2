"""A place in a folder: files are written beside their names, synced, then linked or moved to them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from hpo.files import create_whole, expanded, write_whole
from hpo.storage.entry import Entry
from hpo.storage.errors import StorageError, Unreachable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class LocalPlace:
    """A folder, on a local disk or a shared file system.

    `within`: a folder around it; by default its root, once something was written there. If that one is gone, it was moved or
    deleted, and nothing is made in its place.
    """

    streams = 4

    def __init__(self, uri: str, within: str = "") -> None:
        self.uri = uri
        self.root = expanded(uri).resolve()
        self._within = expanded(within).resolve() if within else None
        self._was_there = self.root.is_dir()
        self._written = False
        for part in (self.root, *self.root.parents):
            if part.is_dir():
                break
            if part.exists():
                raise StorageError(f"{part} must be a folder, but it is a file; name another place")

    def check_there(self) -> None:
        """Raises Unreachable for a folder that was there at an earlier call, or when this began, and is gone: moved away, or
        its file system is not mounted. One that nobody has made yet is empty.
        """
        if self.root.is_dir():
            self._was_there = True
        elif self._was_there:
            raise Unreachable(
                f"the folder {self.root} must stay where it is, but it is gone; move it back, or mount it"
            )

    def read(self, name: str) -> bytes | None:
        with self._explained(self.root / name, "readable"):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def create(self, name: str, content: bytes) -> bool:
        with self._writing(name) as around:
            try:
                return create_whole(self.root / name, content, around)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise StorageError(
                        f"the file system of {(self.root / name).parent} must have hard links, but it has none; "
                        "name another place"
                    ) from None
                raise

    def replace(self, name: str, content: bytes | memoryview) -> None:
        with self._writing(name) as around:
            write_whole(self.root / name, content, around)

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[Path | None]:
        """Yields the folder that must be there while a file is written, None where there is none yet."""
        around = self._within or (self.root if self._written else None)
        with self._explained((self.root / name).parent, "writable"):
            try:
                yield around
            except FileNotFoundError:
                if around is None:
                    raise
                raise StorageError(f"{around} must stay where it is, but it is gone; move it back") from None
        self._written = True

    def delete(self, name: str) -> None:
        with self._explained((self.root / name).parent, "writable"):
            (self.root / name).unlink(missing_ok=True)

    def delete_all(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self._written = False

    def names(self, folder: str) -> list[str]:
        return [f"{folder}/{entry.name}" for entry in self._entries(self.root / folder) if entry.is_file()]

    def entries(self, folder: str) -> list[Entry]:
        found, now = [], time.time()
        for entry in self._entries(self.root / folder):
            with contextlib.suppress(FileNotFoundError):  # somebody has deleted it since it was listed
                if entry.is_file():
                    stat = entry.stat()
                    tag = f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}"
                    name = f"{folder}/{entry.name}"
                    found.append(Entry(name, stat.st_size, stat.st_mtime, tag, now - stat.st_mtime))
        return found

    def beginning(self, start: str) -> list[str]:
        with self._explained(self.root, "readable"):
            try:
                with os.scandir(self.root) as entries:
                    return sorted(entry.name for entry in entries if entry.name.startswith(start) and entry.is_file())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def folders(self) -> list[str]:
        return [entry.name for entry in self._entries(self.root) if entry.is_dir()]

    def files(self) -> list[Entry]:
        return list(self._below(self.root))

    def _below(self, folder: Path) -> Iterator[Entry]:
        for entry in self._entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(Path(entry))
                continue
            with contextlib.suppress(FileNotFoundError):  # somebody has deleted it since it was listed
                stat = entry.stat()
                yield Entry(Path(entry).relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        with self._explained(folder, "readable"):
            try:
                with os.scandir(folder) as entries:
                    return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return []

    @contextlib.contextmanager
    def _explained(self, path: Path, needed: str) -> Iterator[None]:
        """Turns the system's errors into sentences: Unreachable for those that may pass, StorageError for the rest."""
        try:
            yield
        except PermissionError:
            raise StorageError(f"{path} must be {needed}, but it is not; change its permissions") from None
        except (NotADirectoryError, FileExistsError) as error:
            raise StorageError(f"{error.filename or path} must be a folder, but it is a file; move it") from None
        except OSError as error:
            if error.errno in _FULL:
                raise Unreachable(f"{path} must have room, but it has none ({error.strerror}); make some") from None
            if error.errno == errno.EROFS:
                raise StorageError(
                    f"{path} must be writable, but it is not ({error.strerror}); name another place"
                ) from None
            raise Unreachable(f"{path} must answer, but it does not ({error.strerror}); is it mounted?") from None
