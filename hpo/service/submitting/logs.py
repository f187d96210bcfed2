"""Jobs' logs, each read once from the cluster for all who look, into a file of the cache, and from there piece by piece."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from hpo.service.problems import Problem
from hpo.service.submitting.records import digest

if TYPE_CHECKING:
    from hpo.service.context import Cluster

PIECE = 256 * 1024  # bytes of an answer
MOST = 64 * 2**20  # bytes of a log that are kept
LOGS = 32  # logs that are read at a time
PAUSE, QUIET, PATIENCE = (
    0.3,
    0.7,
    5.0,
)  # seconds: between looks at the file, after which a log has told all, for the first words


@dataclass(frozen=True)
class Piece:
    """A part of a log. next: the offset of what follows. ended: whether the job has, and this is the log's end."""

    text: str
    next: int
    ended: bool


class Log:
    """A job's log, read by one thread until the job has ended, whoever looks."""

    def __init__(self, cluster: Cluster, job_id: str, path: Path) -> None:
        self._cluster, self._job_id, self._path = cluster, job_id, path
        self._changed = time.monotonic()
        self.over, self.asked = False, time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        self._thread = threading.Thread(target=self._read, daemon=True, name=f"log of {job_id}")
        self._thread.start()

    async def settled(self) -> None:
        """Returns when all is there that the log has now."""
        began = time.monotonic()
        while not self.over and time.monotonic() - began < PATIENCE:
            if self._path.stat().st_size and time.monotonic() - self._changed > QUIET:
                return
            await asyncio.sleep(0.05)

    def piece(self, offset: int) -> Piece:
        """Returns what follows `offset`; of a negative one, the last so many bytes from the beginning of a line."""
        self.asked = time.monotonic()
        over, size = self.over, self._path.stat().st_size  # in this order: what was over before has no further bytes
        from_end, offset = offset < 0, max(0, size + offset) if offset < 0 else min(offset, size)
        with self._path.open("rb") as file:
            file.seek(offset)
            found = file.read(PIECE)
        if from_end and offset > 0:
            skipped = found.find(b"\n") + 1
            offset, found = offset + skipped, found[skipped:]
        found = _whole(found)
        end = offset + len(found)
        return Piece(found.decode("utf-8", "replace"), end, over and end >= size)

    def _read(self) -> None:
        """Appends what the job writes."""
        left = MOST
        try:
            with self._path.open("ab", buffering=0) as file:
                for text in self._cluster.follow(self._job_id):
                    content = text.encode("utf-8", "replace")[:left]
                    file.write(content)
                    self._changed, left = time.monotonic(), left - len(content)
                    if left <= 0:
                        file.write(b"\n... the rest is in Ray's own log of the job\n")
                        break
        except (ClusterError, OSError) as error:
            with self._path.open("ab") as file:
                file.write(f"\n... the log cannot be read on: {error}\n".encode())
        finally:
            self.over = True


class Logs:
    """The logs that somebody looks at, in a folder of the cache. Those that nobody looked at for longest make room."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._logs: dict[str, Log] = {}
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier service: nobody reads them on

    async def piece(self, job_id: str, offset: int) -> Piece:
        """Returns what follows an offset of a job's log. Raises Problem."""
        log = self._log(job_id)
        await log.settled()
        return await asyncio.to_thread(log.piece, offset)

    async def follow(self, job_id: str, offset: int) -> AsyncIterator[Piece | None]:
        """Yields the log from an offset on, piece by piece, until the job has ended; None, as a sign of life, in between."""
        log, quiet = self._log(job_id), time.monotonic()
        if offset < 0:
            await log.settled()
        while True:
            found = await asyncio.to_thread(log.piece, offset)
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
        if job_id not in self._logs:
            if len(self._logs) >= LOGS:
                self._forget()
            self._logs[job_id] = Log(self._cluster, job_id, self._path(job_id))
        return self._logs[job_id]

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{digest(job_id)}.log"  # whoever reaches the job server may give a job any id

    def _forget(self) -> None:
        over = [job_id for job_id, log in self._logs.items() if log.over]
        if not over:
            raise Problem(429, f"{LOGS} logs are being read already; ask again later", wait=30)
        oldest = min(over, key=lambda job_id: self._logs[job_id].asked)
        del self._logs[oldest]
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
