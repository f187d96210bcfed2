"""Who may use how much of a device's memory on this machine: trials that share a GPU are packed by what they take.

A trial of a kind that nobody has trained here yet is a probe: a step, or where its trainable takes none its first epoch,
tells the kind's peak. The book is one file a device, changed under a lock, so that all workers of a machine share
it, of however many studies.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MARGIN = 1.1  # over the measured peak: epochs of one kind differ a little
GUESS = 1.5  # a kind unknown takes at most so much more than the largest known one, until its probe tells
POLL_SECONDS = 0.1

Page = dict[str, Any]
"""kinds: name -> peak in bytes; held: process id -> {bytes, started}; queue: [process id, started], first come first."""


def folder() -> Path:
    """Where this machine's books lie: one user's."""
    return Path(tempfile.gettempdir()) / f"hpo-memory-{os.getuid()}"


class MemoryBook:
    """The book of one device of `capacity` bytes. One reservation a `process`, by default this one.

    Worked: capacity 10. A takes kind x, unknown in an empty book: all 10. Its probe measures 3, so it holds 3.3.
    B takes x: 3.3 are left aside for it, it starts. C takes kind y, unknown: it is guessed at 1.5 x 3, waits until
    4.95 are free, and measures 6: the book says so, and who comes next waits.
    """

    def __init__(self, device: str, capacity: int, place: Path | None = None, process: int | None = None) -> None:
        self.capacity = capacity
        where = place or folder()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = where / f"{''.join(c if c.isalnum() else '-' for c in device)}.json"
        self._process = process or os.getpid()
        self._me = str(self._process)

    def take(self, kind: str, *, whole: bool = False) -> int:
        """Waits for room for a trial of the kind, or with `whole` for the device; returns the bytes held.

        First come, first served, so that a large trial is not passed by small ones for ever.
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
        """What a trial of the kind has taken so far; this process holds no more than it needs from now on."""
        with self._opened() as page:
            if peak > page["kinds"].get(kind, 0):
                log.info("%s takes %.2f GB at its peak", kind, peak / 1e9)
                page["kinds"][kind] = peak
            if self._me in page["held"]:
                page["held"][self._me]["bytes"] = min(self.capacity, int(MARGIN * page["kinds"][kind]))

    def give_back(self) -> None:
        """This process holds nothing any more."""
        with self._opened() as page:
            page["held"].pop(self._me, None)
            page["queue"].pop(self._me, None)

    def known(self) -> dict[str, int]:
        """The peak of every kind in bytes."""
        with self._opened() as page:
            return dict(page["kinds"])

    def _wanted(self, page: Page, kind: str) -> int:
        known = page["kinds"]
        if kind in known:
            return min(self.capacity, int(MARGIN * known[kind]))
        return min(self.capacity, int(GUESS * MARGIN * max(known.values()))) if known else self.capacity

    @contextmanager
    def _opened(self) -> Iterator[Page]:
        """The page under the lock, without processes that have ended; written back."""
        with open(self._path, "a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            page = _parsed(file.read())
            page["held"] = {pid: e for pid, e in page["held"].items() if started(int(pid)) == e["started"]}
            page["queue"] = {pid: s for pid, s in page["queue"].items() if started(int(pid)) == s}
            yield page
            file.seek(0)
            file.truncate()
            file.write(json.dumps(page))
            file.flush()


class Berth:
    """A trial's place on the device of its process, from before it is built until it is gone.

    Trainables that can be packed say so: `memory_kind(config, task)`, equal for trials that take the same, and
    `memory()`, which has the `device`'s name, its `total` bytes, `reset`, `peak` in bytes since then, and `release`.
    With `probe()` they take as much as an epoch will, by a step or a few, and afterwards train as if they had not.
    """

    def __init__(self, book: MemoryBook, kind: str, memory: Any) -> None:
        self._book, self._kind, self._memory = book, kind, memory

    @classmethod
    def of(cls, trainable: str, config: Mapping[str, Any], task: Mapping[str, Any], *, whole: bool) -> Berth | None:
        """Waits for room; None where the trainable does not say what it takes."""
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
        """A step where the kind is unknown, so that others need not wait for an epoch to know what is left for them.

        A step foresees what the trainable makes it foresee: whatever more an epoch takes, `measure` learns after it.
        Trials of the same kind that began before it was known are probes too.
        """
        probe = getattr(trainable, "probe", None)
        if probe is not None and self._kind not in self._book.known():
            probe()
            self.measure()

    def measure(self) -> None:
        """Writes down what the trial has taken at most: others may use the rest."""
        self._book.learn(self._kind, self._memory.peak())

    def leave(self) -> None:
        """The trial is gone: so is what it held, and others may have it."""
        self._memory.release()
        self._book.give_back()


def started(pid: int) -> str:
    """When the process began, in the kernel's ticks: numbers of processes are given out again. Empty where none lives."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]


def _parsed(text: str) -> Page:
    """A page that was cut short, by a full disk say, is begun anew: what it knew is soon measured again."""
    try:
        page = json.loads(text)
        return {name: dict(page[name]) for name in ("kinds", "held", "queue")}
    except (ValueError, KeyError, TypeError):
        return {"kinds": {}, "held": {}, "queue": {}}
