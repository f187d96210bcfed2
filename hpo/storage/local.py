"""A store in a folder: files are written beside, synced and linked or moved to their names."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpo.files import write_whole
from hpo.storage.errors import StoreError, Unreachable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalPlace:
    """A folder, on a local disk or a shared file system."""

    streams = 4

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.root = Path(uri).expanduser().resolve()
        for part in (self.root, *self.root.parents):
            if part.is_dir():
                break
            if part.exists():
                raise StoreError(f"a store must be a folder, but {part} is a file; name another place")

    def read(self, name: str) -> bytes | None:
        with self._explained(self.root / name, "readable"):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def create(self, name: str, content: bytes) -> bool:
        path = self.root / name
        with self._explained(path.parent, "writable"):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix=".new-", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.chmod(beside, 0o644)
                return self._link(beside, path)
            finally:
                Path(beside).unlink(missing_ok=True)

    def _link(self, beside: str, path: Path) -> bool:
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise StoreError(
                    f"a store's file system must have hard links, but that of {path.parent} has none; name another place"
                ) from None
            raise
        return True

    def replace(self, name: str, content: bytes) -> None:
        with self._explained((self.root / name).parent, "writable"):
            write_whole(self.root / name, content)

    def delete(self, name: str) -> None:
        with self._explained((self.root / name).parent, "writable"):
            (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        return [f"{folder}/{entry.name}" for entry in self._entries(self.root / folder) if entry.is_file()]

    def folders(self) -> list[str]:
        return [entry.name for entry in self._entries(self.root) if entry.is_dir()]

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        with self._explained(folder, "readable"):
            try:
                with os.scandir(folder) as entries:
                    return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return []

    @contextlib.contextmanager
    def _explained(self, path: Path, needed: str) -> Iterator[None]:
        """The system's errors as sentences: what may pass is Unreachable, what will not is a StoreError."""
        try:
            yield
        except PermissionError:
            raise StoreError(f"a store must be {needed}, but {path} is not; change its permissions") from None
        except (NotADirectoryError, FileExistsError) as error:
            raise StoreError(f"a store must be a folder, but {error.filename or path} is a file; move it") from None
        except OSError as error:
            if error.errno in _FULL:
                raise Unreachable(
                    f"a store must have room, but {path} has none ({error.strerror}); make some"
                ) from None
            if error.errno == errno.EROFS:
                raise StoreError(
                    f"a store must be writable, but {path} is not ({error.strerror}); name another"
                ) from None
            raise Unreachable(f"a store must answer, but {path} does not ({error.strerror}); is it mounted?") from None
