"""The audit log: who did what, when and from where. It lies in the store, hidden from listings, and is only added to.

.audit/log.jsonl                            a line an entry (local stores)
.audit/8235731045123-1f0c2d3e4a5b6c7d.json  an entry (S3), under its time in milliseconds counted down: newest first
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from hpo.service.context import Caller
from hpo.service.problems import Problem
from hpo.storage.errors import StorageError, Unreachable
from hpo.storage.local import LocalPlace
from hpo.storage.place import place
from hpo.text import cut, one_line, plain, shown

if TYPE_CHECKING:
    from hpo.storage.s3 import S3Place

FOLDER = ".audit"
TEXT = 500  # most characters of a text in an entry
BLOCK = 2**16
_END_OF_TIME = 10**13  # milliseconds since 1970, in the year 2286
_NAME = re.compile(r"[0-9]{13}-[0-9a-f]{16}\.json")

Page = tuple[list[dict[str, Any]], str | None]


class _Log(Protocol):
    def add(self, entry: bytes) -> None: ...
    def page(self, limit: int, cursor: str | None) -> tuple[list[bytes], str | None]: ...


class StoreAudit:
    """The audit log of the store at `uri`; a `context.Audit`. Raises Unreachable where the store does not take it."""

    def __init__(self, uri: str) -> None:
        where = place(uri)
        if isinstance(where, LocalPlace):
            self._log: _Log = _Lines(where)
        else:
            from hpo.storage.s3 import S3Place  # needs boto3

            assert isinstance(where, S3Place), "a bundle is never written into"
            self._log = _Objects(where)

    def write(self, caller: Caller, what: str, *, study: str | None = None, **detail: Any) -> None:
        """Appends an entry, which survives the service when this returns."""
        entry = {
            "time": round(time.time(), 3),
            "who": caller.name,
            "role": caller.role,
            "from": cut(caller.source, TEXT),  # what a proxy said
            "what": what,
            "study": study,
            "detail": _short(plain(detail)),
        }
        try:
            self._log.add(json.dumps(entry, default=str).encode())
        except Unreachable:
            raise
        except StorageError as error:  # what it was to record must wait, whatever is wrong with the store
            raise Unreachable(str(error)) from None

    def entries(self, limit: int = 100, cursor: str | None = None) -> Page:
        """Returns at most `limit` entries, the newest first, and the cursor of the next page, None after the last."""
        lines, after = self._log.page(limit, cursor)
        return [entry for line in lines if (entry := _parsed(line)) is not None], after


class _Lines:
    """Entries as lines of a file. A cursor is the place in the file before which the next page ends."""

    def __init__(self, where: LocalPlace) -> None:
        self._where, self._path = where, where.root / FOLDER / "log.jsonl"

    def add(self, entry: bytes) -> None:
        self._where.check_there()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+") as stream:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write((b"" if _is_ended(stream) else b"\n") + entry + b"\n")  # after a line that was cut off
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise Unreachable(f"{self._path} must be writable, but it is not: {one_line(error)}") from None

    def page(self, limit: int, cursor: str | None) -> tuple[list[bytes], str | None]:
        try:
            with self._path.open("rb") as stream:
                end = stream.seek(0, 2)
                if cursor is not None:
                    end = min(end, _place(cursor))
                lines, begin = _last_lines(stream, end, limit)
        except FileNotFoundError:
            return [], None
        except OSError as error:
            raise Unreachable(f"{self._path} must be readable, but it is not: {one_line(error)}") from None
        return lines, str(begin) if begin > 0 else None


def _is_ended(stream: Any) -> bool:
    size = stream.seek(0, 2)
    if size == 0:
        return True
    stream.seek(size - 1)
    return bool(stream.read(1) == b"\n")


def _last_lines(stream: Any, end: int, limit: int) -> tuple[list[bytes], int]:
    """Returns the last lines before `end`, the last first, and where the first of them begins."""
    held, begin = b"", end
    while begin > 0 and held.count(b"\n") <= limit:
        size = min(BLOCK, begin)
        begin -= size
        stream.seek(begin)
        held = stream.read(size) + held
    lines = held.splitlines(keepends=True)
    if begin > 0:
        lines = lines[1:]  # the first may have begun before the block
    chosen = lines[-limit:]
    return [line.strip() for line in reversed(chosen)], end - sum(map(len, chosen))


def _place(cursor: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", cursor):
        raise _foreign(cursor)
    return int(cursor)


def _foreign(cursor: str) -> Problem:
    return Problem(422, f"cursor must be the `next` of an answer, but got {shown(cursor)}; leave it out to begin anew")


class _Objects:
    """Entries as objects of their own. A cursor is the name of the last one of a page."""

    def __init__(self, where: S3Place) -> None:
        self._where = where

    def add(self, entry: bytes) -> None:
        left = _END_OF_TIME - int(time.time() * 1000)
        for _ in range(3):
            if self._where.create(f"{FOLDER}/{left:013d}-{secrets.token_hex(8)}.json", entry):
                return
        raise StorageError(f"{self._where.uri} must take a new file, but it names each as there already; is it S3?")

    def page(self, limit: int, cursor: str | None) -> tuple[list[bytes], str | None]:
        if cursor is not None and not _NAME.fullmatch(cursor):
            raise _foreign(cursor)
        names = self._where.first(FOLDER, limit + 1, after=cursor or "")
        chosen: Sequence[str] = names[:limit]
        with ThreadPoolExecutor(self._where.streams) as pool:
            found = [content for content in pool.map(self._where.read, chosen) if content is not None]
        return found, chosen[-1].rpartition("/")[2] if len(names) > limit else None


def _parsed(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):  # a line that was cut off
        entry = json.loads(line)
        return entry if isinstance(entry, dict) else None
    return None


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value[:50]]
    return cut(value, TEXT) if isinstance(value, str) else value
