"""Who holds how much of a device's memory on this machine: trials that share a GPU are packed by what they take.

The first trial of a kind on this machine is a probe: a step shows the kind's peak, or its first epoch where the trainable
has no such step. The book is one file for each device, changed under a lock, so that all workers of the machine share
it, whatever their studies.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

log = logging.getLogger(__name__)

MARGIN = 1.1  # over the measured peak: epochs of one kind differ a little
GUESS = 1.5  # an unknown kind counts as this much larger than the largest known one, until it is probed
POLL_SECONDS = 0.1

Page = dict[str, Any]
"""kinds: name -> peak in bytes; held: process id -> {bytes, started}; queue: process id -> started, the first first."""


def folder() -> Path:
    """Returns the folder of this user's books on this machine."""
    return Path(tempfile.gettempdir()) / f"hpo-memory-{os.getuid()}"


class MemoryBook:
    """The book of one device of `capacity` bytes, with one reservation for each `process`, by default for this one.

    An example with capacity 10:
    A takes kind x, unknown in an empty book: it gets all 10. Its probe measures 3, so that it holds 3.3 from then on.
    B takes x: it gets 3.3, and starts. C takes kind y, unknown: it is guessed at 1.1 x 1.5 x 3 = 4.95, waits until as
    much is free, and measures 6. It holds 6.6 from then on, and whoever comes next waits.
    """

    def __init__(self, device: str, capacity: int, place: Path | None = None, process: int | None = None) -> None:
        self.capacity = capacity
        where = place or folder()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = where / f"{''.join(c if c.isalnum() else '-' for c in device)}.json"
        self._lock = self._path.with_suffix(".lock")
        self._process = process or os.getpid()
        self._me = str(self._process)

    def take(self, kind: str, *, whole: bool = False) -> int:
        """Waits for room for a trial of the kind, or with `whole` for the whole device; returns the bytes held.

        First come, first served: small trials must not overtake a large one for ever.
        """
        while True:
            with self._opened() as page:
                if self._me not in page["queue"]:
                    page["queue"][self._me] = started(self._process)
                wanted = self.capacity if whole else self._wanted(page, kind)
                others = sum(entry["bytes"] for pid, entry in page["held"].items() if pid != self._me)
                first = next(iter(page["queue"])) == self._me
                if first and (not others or others + wanted <= self.capacity):
                    del page["queue"][self._me]
                    page["held"][self._me] = {"bytes": wanted, "started": started(self._process)}
                    return wanted
            time.sleep(POLL_SECONDS)

    def learn(self, kind: str, peak: int) -> None:
        """Records the peak of a trial of the kind; from now on this process holds no more than the kind needs."""
        with self._opened() as page:
            if peak > page["kinds"].get(kind, 0):
                log.info("%s takes %.2f GB at its peak", kind, peak / 1e9)
                page["kinds"][kind] = peak
            if self._me in page["held"]:
                page["held"][self._me]["bytes"] = min(self.capacity, int(MARGIN * page["kinds"][kind]))

    def give_back(self) -> None:
        """Ends this process's reservation."""
        with self._opened() as page:
            page["held"].pop(self._me, None)
            page["queue"].pop(self._me, None)

    def known(self) -> dict[str, int]:
        """Returns the peak of every kind in bytes."""
        with self._opened() as page:
            return dict(page["kinds"])

    def _wanted(self, page: Page, kind: str) -> int:
        known = page["kinds"]
        if kind in known:
            return min(self.capacity, int(MARGIN * known[kind]))
        return min(self.capacity, int(GUESS * MARGIN * max(known.values()))) if known else self.capacity

    @contextmanager
    def _opened(self) -> Iterator[Page]:
        """Yields the page without processes that have ended, and writes it back; holds the lock meanwhile.

        The kernel frees the lock of a process that dies.
        """
        with FileLock(self._lock):
            page = _parsed(self._path.read_bytes() if self._path.exists() else b"")
            page["held"] = {pid: e for pid, e in page["held"].items() if started(int(pid)) == e["started"]}
            page["queue"] = {pid: s for pid, s in page["queue"].items() if started(int(pid)) == s}
            yield page
            self._path.write_text(json.dumps(page), encoding="utf-8")


class Berth:
    """A trial's place on the device of its process, from before its trainable is built until it is closed.

    Trainables that can be packed have `memory_kind(config, task)`, equal for trials that take the same memory, and
    `memory()`, with the `device`'s name, its `total` bytes, `reset`, `peak` in bytes since then, and `release`.
    They may have `probe()`: a step or a few that take as much memory as an epoch, and change nothing of the training.
    """

    def __init__(self, book: MemoryBook, kind: str, memory: Any) -> None:
        self._book, self._kind, self._memory = book, kind, memory

    @classmethod
    def of(cls, trainable: str, config: Mapping[str, Any], task: Mapping[str, Any], *, whole: bool) -> Berth | None:
        """Waits for room and takes it; None where the trainable has no `memory_kind`."""
        from trainables import load

        found = load(trainable)
        if not hasattr(found, "memory_kind"):
            return None
        memory, kind = found.memory(), f"{trainable} {found.memory_kind(config, task)}"
        book = MemoryBook(memory.device, memory.total)
        book.take(kind, whole=whole)
        memory.reset()
        return cls(book, kind, memory)

    def probe(self, trainable: Any) -> None:
        """Probes an unknown kind, so that others learn sooner than after an epoch how much room is left for them.

        An epoch may take more than its probe: `measure` learns that afterwards. Trials of the same kind that began before
        it was known are probes too.
        """
        probe = getattr(trainable, "probe", None)
        if probe is not None and self._kind not in self._book.known():
            probe()
            self.measure()

    def measure(self) -> None:
        """Records the trial's peak: others may use the rest."""
        self._book.learn(self._kind, self._memory.peak())

    def leave(self) -> None:
        """Releases the memory and gives the place back to others."""
        self._memory.release()
        self._book.give_back()


def started(pid: int) -> str:
    """Returns when a living process began, in the kernel's ticks, and "" for a dead one: process ids are used again.

    Ticks since the boot stay the same while clocks are set; a time of day (psutil's `create_time`) need not.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]


def _parsed(text: bytes) -> Page:
    """Returns the page, or a new one where it is damaged, by a full disk for example: its kinds are soon measured again."""
    try:
        page = json.loads(text)
        return {name: dict(page[name]) for name in ("kinds", "held", "queue")}
    except (ValueError, KeyError, TypeError):
        return {"kinds": {}, "held": {}, "queue": {}}
