"""Temporary folders that have an owner, and how those of dead owners are found. Imports nothing heavy.

A killed process deletes nothing. So the owner holds a lock, which the kernel takes from the dead: whoever gets the lock
knows that the owner is gone. A process number alone would not do, since numbers are used again.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DRIVERS_SCRATCH = "hpo-tune-"
LOCK, KEPT = "owner.lock", "kept"
LONGEST = 40  # characters: the paths of Ray's sockets below it must fit the kernel's limit of 107
KEPT_SECONDS = 7 * 86400.0
SESSION = re.compile(r"session_.*_(\d+)$")


class Owned:
    """A temporary folder, and the lock that shows that its owner lives. Delete it in the process that made it."""

    def __init__(self, prefix: str) -> None:
        made = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=_parent()))
        self._lock = os.open(made / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = made.with_name(made.name[1:])
        made.rename(self.path)  # under its own name only once it is locked, so that no one takes it for a dead one's

    def delete(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._release()

    def keep(self) -> None:
        """Leaves the folder for people to read: later starts delete it after a week."""
        with suppress(OSError):
            (self.path / KEPT).touch()
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep(*prefixes: str) -> list[Path]:
    """Deletes this user's folders of these prefixes whose owners are dead, and returns them."""
    gone = []
    for path in _folders(prefixes):
        with suppress(OSError):
            if path.stat().st_uid == os.getuid() and not _is_kept(path) and _is_orphan(path):
                shutil.rmtree(path, ignore_errors=True)
                gone.append(path)
    return gone


def _is_kept(path: Path) -> bool:
    try:
        return time.time() - (path / KEPT).stat().st_mtime < KEPT_SECONDS
    except FileNotFoundError:
        return False


def _is_orphan(path: Path) -> bool:
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _is_dead_session(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _is_dead_session(path: Path) -> bool:
    """Tells whether a folder without a lock, of an earlier version, holds Ray sessions of dead processes alone."""
    pids = [
        int(found[1]) for entry in path.iterdir() if (found := SESSION.match(entry.name)) and not entry.is_symlink()
    ]
    return bool(pids) and not any(Path(f"/proc/{pid}").exists() for pid in pids)


def _folders(prefixes: tuple[str, ...]) -> Iterator[Path]:
    for prefix in prefixes:
        yield from (path for path in Path(_parent()).glob(f"{prefix}*") if path.is_dir() and not path.is_symlink())


def _parent() -> str:
    named = tempfile.gettempdir()
    return named if len(named) <= LONGEST else "/tmp"
