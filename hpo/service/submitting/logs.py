"""Jobs' logs, each read once from the cluster for all who look, into a file of the cache, and from there piece by piece."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.job import NoSuchJob
from hpo.service.problems import Problem
from hpo.service.submitting.records import digest

if TYPE_CHECKING:
    from hpo.service.context import Cluster

PIECE = 256 * 1024  # bytes of an answer
MOST = 64 * 2**20  # bytes of a log that are kept
LOGS = 32  # logs that are read at a time
UNASKED, AGAIN = 60.0, 3.0  # seconds: after which nobody looks at a log, and after which one that broke is read on
PAUSE, QUIET, PATIENCE = (
    0.3,
    0.7,
    5.0,
)  # seconds: between looks at the file, after which a log has told all, for the first words

log = logging.getLogger("hpo.service")


@dataclass(frozen=True)
class Piece:
    """A part of a log. next: the offset of what follows. ended: whether the job has, and this is the log's end."""

    text: str
    next: int
    ended: bool


class Log:
    """A job's log, read by one thread until the job has ended, whoever looks.

    broken: it was not read to its end, and must be read anew. left: others took its place.
    """

    def __init__(self, cluster: Cluster, job_id: str, path: Path) -> None:
        self._cluster, self._job_id = cluster, job_id
        self._changed = time.monotonic()
        self.over, self.broken, self.left, self.asked = False, False, False, time.monotonic()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._file = path.open("x+b", buffering=0)  # those who look go on when the name is gone
        self._thread = threading.Thread(target=self._read, daemon=True, name=f"log of {job_id}")
        self._thread.start()

    async def settled(self) -> None:
        """Returns when all is there that the log has now."""
        began = time.monotonic()
        while not self.over and time.monotonic() - began < PATIENCE:
            if self._size and time.monotonic() - self._changed > QUIET:
                return
            await asyncio.sleep(0.05)

    def piece(self, offset: int) -> Piece:
        """Returns what follows `offset`; of a negative one, the last so many bytes from the beginning of a line."""
        self.asked = time.monotonic()
        over, size = self.over, self._size  # in this order: what was over before has no further bytes
        from_end, offset = offset < 0, max(0, size + offset) if offset < 0 else min(offset, size)
        found = os.pread(self._file.fileno(), PIECE, offset)
        if from_end and offset > 0:
            skipped = found.find(b"\n") + 1
            offset, found = offset + skipped, found[skipped:]
        found = _whole(found)
        end = offset + len(found)
        return Piece(found.decode("utf-8", "replace"), end, over and end >= size)

    def _read(self) -> None:
        """Appends what the job writes, and goes on after a break for as long as somebody looks."""
        seen = 0
        try:
            while True:
                try:
                    position = 0
                    for text in self._cluster.follow(self._job_id):  # from the log's beginning
                        fresh = text[max(0, seen - position) :]
                        position += len(text)
                        seen = max(seen, position)
                        if not self._take(fresh):
                            return
                    return
                except NoSuchJob as error:
                    self._take(f"\n... the log cannot be read on: {error}\n")
                    return
                except ClusterError:
                    if self.idle:
                        self.broken = True
                        return
                    time.sleep(AGAIN)
        except OSError as error:  # a disk that is full
            self.broken = True
            log.warning("the log of job %s cannot be kept: %s", self._job_id, error)
        finally:
            self.over = True

    def _take(self, text: str) -> bool:
        """Writes what is new; tells whether more is wanted."""
        content = text.encode("utf-8", "replace")[: MOST - self._size]
        self._file.write(content)
        self._changed = time.monotonic()
        if self._size >= MOST:
            self._file.write(b"\n... the rest is in Ray's own log of the job\n")
        return self._size < MOST and not self.left

    @property
    def idle(self) -> bool:
        """Whether nobody looked lately."""
        return self.left or time.monotonic() - self.asked > UNASKED

    @property
    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size


class Logs:
    """The logs that somebody looks at, in a folder of the cache. Those that nobody looked at for longest make room."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._logs: dict[str, Log] = {}
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier service: nobody reads them on

    async def piece(self, job_id: str, offset: int) -> Piece:
        """Returns what follows an offset of a job's log. Raises Problem."""
        found = self._log(job_id)
        await found.settled()
        return await asyncio.to_thread(found.piece, offset)

    async def follow(self, job_id: str, offset: int) -> AsyncIterator[Piece | None]:
        """Yields the log from an offset on, piece by piece, until the job has ended; None, as a sign of life, in between."""
        read, quiet = self._log(job_id), time.monotonic()
        if offset < 0:
            await read.settled()
        while True:
            found = await asyncio.to_thread(read.piece, offset)
            offset = found.next
            if found.text or found.ended:
                quiet = time.monotonic()
                yield found
            if found.ended:
                return
            if not found.text:
                if time.monotonic() - quiet > 10:
                    quiet = time.monotonic()
                    yield None
                await asyncio.sleep(PAUSE)

    def _log(self, job_id: str) -> Log:
        if job_id in self._logs and self._logs[job_id].broken:
            del self._logs[job_id]
        if job_id not in self._logs:
            if len(self._logs) >= LOGS:
                self._forget()
            self._logs[job_id] = Log(self._cluster, job_id, self._path(job_id))
        return self._logs[job_id]

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{digest(job_id)}.log"  # whoever reaches the job server may give a job any id

    def _forget(self) -> None:
        free = [job_id for job_id, each in self._logs.items() if each.over or each.idle]
        if not free:
            raise Problem(429, f"{LOGS} logs are being read already; ask again later", wait=30)
        oldest = min(free, key=lambda job_id: self._logs[job_id].asked)
        self._logs.pop(oldest).left = True
        self._path(oldest).unlink(missing_ok=True)


def _whole(content: bytes) -> bytes:
    """Returns the content without the beginning of a character whose end is missing."""
    for cut in range(1, min(4, len(content)) + 1):
        byte = content[-cut]
        if byte >= 0xC0:  # where a character of several bytes begins
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return content[:-cut] if cut < length else content
        if byte < 0x80:
            break
    return content
