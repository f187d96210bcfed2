"""A JSON object in a file for its owner alone, which several processes change in turn, and read again when it changes."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hpo.errors import HpoError
from hpo.files import write_private
from hpo.text import one_line

LOCK_SECONDS = 10.0


class AccessError(HpoError):
    """Files of tokens or sessions that cannot be used as they are, or a token that cannot be made or revoked."""


class Kept:
    """The object in the file at `path`; empty while there is none.

    `seconds`: how long an answer may be taken from memory before the file is looked at again. Raises AccessError for a
    file that others may write, or that holds something else: who may enter must never be a guess.
    """

    def __init__(self, path: Path, *, seconds: float = 0.0) -> None:
        self.path = path
        self._seconds = seconds
        self._looked = -float("inf")
        self._seen: tuple[int, ...] | None = None
        self._value: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Returns the object as it is, or was a moment ago. The caller leaves it as it is."""
        if time.monotonic() - self._looked >= self._seconds:
            self._look()
        return self._value

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Yields a copy to change, and writes it when the block ends well. One process at a time is in such a block."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=LOCK_SECONDS, mode=0o600):
                self._look()
                value = json.loads(json.dumps(self._value))
                yield value
                write_private(self.path, json.dumps(value, indent=1) + "\n")
                self._look()
        except Timeout:
            raise AccessError(f"{self.path} must be free to change, but another process holds it; try again") from None
        except OSError as error:
            raise AccessError(f"{self.path} must be writable, but it is not: {one_line(error)}") from None

    def _look(self) -> None:
        self._looked = -float("inf")  # a file that is not as it must be is looked at again by the next who asks
        try:
            state = self.path.stat()
        except FileNotFoundError:
            self._seen, self._value = None, {}
        except OSError as error:
            raise AccessError(f"{self.path} must be readable, but it is not: {one_line(error)}") from None
        else:
            seen = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            if seen != self._seen:
                self._seen = None
                _check_mode(self.path, state)
                self._value = _loaded(self.path)
                self._seen = seen
        self._looked = time.monotonic()


def _check_mode(path: Path, state: os.stat_result) -> None:
    """Raises AccessError for a file that others may write; closes one of ours to those who may read it."""
    mode = stat.S_IMODE(state.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise AccessError(
            f"only its owner may write {path} (mode 0600), but its mode is {mode:04o}, and others may have let "
            f"themselves in; look through it, then chmod 600 {path}"
        )
    if mode & (stat.S_IRGRP | stat.S_IROTH) and state.st_uid == os.getuid():
        with contextlib.suppress(OSError):  # a secret that is mounted to be read only
            path.chmod(0o600)


def _loaded(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AccessError(f"{path} must hold JSON, but it does not ({one_line(error)}); mend it or delete it") from None
    if not isinstance(value, dict):
        raise AccessError(f"{path} must hold a JSON object, but it holds another value; mend it or delete it")
    return value
