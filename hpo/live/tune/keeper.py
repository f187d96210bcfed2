"""Keeps as many processes on the cluster as the driver wants, by Tune in a thread of its own: a Tune trial is a slot."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster import owned
from hpo.live.tune.slot import Started

REST_SECONDS = 0.1
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds after so many starts in a row have failed
CLOSE_SECONDS = 20.0


@dataclass(frozen=True)
class NotStarted:
    """A process that was to start has not: its last words, and how many in a row have not."""

    words: str
    times: int


@dataclass(frozen=True)
class Broken:
    """Tune has ended with an error."""

    error: BaseException


class Keeper:
    """What the driver's thread and Tune's share. Its news go to `inbox`: Started, NotStarted, Broken.

    `wanted`: how many slots there are to be. Slots whose processes have not started are given up first; of the others the
    driver chooses the ones to `give_back`.
    """

    def __init__(self, inbox: queue.SimpleQueue[Any]) -> None:
        self.wanted = 0
        self.without_room = 0  # slots asked for that no node has room for yet
        self.stopping = False
        self._inbox = inbox
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._coming: dict[str, None] = {}  # trials whose processes have not started, oldest first
        self._there: set[str] = set()  # trials whose processes have
        self._back: set[str] = set()  # trials that are to end
        self._failed_starts, self._not_before = 0, 0.0
        self._thread: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns nothing: Tune pickles its parts for snapshots that no one reads, because the store is the state."""
        return {}

    # -- the driver's side ----------------------------------------------------------------------------------------

    @contextmanager
    def running(self, fit: Callable[[str], object]) -> Iterator[None]:
        """Runs Tune by `fit(folder for its files)`; ends it, and with it every process, at the end of the block."""
        scratch = owned.Owned(owned.DRIVERS_SCRATCH)
        self._thread = threading.Thread(target=self._fit, args=(fit, str(scratch.path)), name="tune", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self.stopping = True
            self._changed.set()
            self._thread.join(CLOSE_SECONDS)
            scratch.delete()  # nothing in it is needed again

    def want(self, slots: int) -> None:
        """Sets how many slots there are to be."""
        if slots != self.wanted:
            self.wanted = slots
            self._changed.set()

    def give_back(self, name: str) -> None:
        """Ends a slot's process, which may be dead already."""
        with self._lock:
            self._back.add(name)
        self._changed.set()

    @property
    def coming(self) -> int:
        """The number of slots whose processes have not started."""
        return len(self._coming)

    def _fit(self, fit: Callable[[str], object], scratch: str) -> None:
        try:
            fit(scratch)
        except BaseException as error:
            self._inbox.put(Broken(error))

    # -- Tune's side ----------------------------------------------------------------------------------------------

    def asks(self, name: str) -> bool:
        """Whether Tune's new trial `name` becomes a slot."""
        with self._lock:
            enough = len(self._coming) + len(self._there - self._back) >= self.wanted
            if enough or time.monotonic() < self._not_before:
                return False
            self._coming[name] = None
            return True

    def given_back(self, trials: Sequence[Any]) -> list[Any]:
        """Returns those of Tune's trials that are to end."""
        with self._lock:
            if not self._back and len(self._coming) + len(self._there) <= self.wanted:
                return []
            many = len(self._coming) + len(self._there - self._back) - self.wanted
            late = list(self._coming)[len(self._coming) - min(max(0, many), len(self._coming)) :]
            names = self._back | set(late)
            return [trial for trial in trials if trial.trial_id in names]

    def started(self, slot: Started) -> None:
        """Takes note of a process that has started."""
        with self._lock:
            self._coming.pop(slot.name, None)
            self._there.add(slot.name)
            self._failed_starts = 0
        self._inbox.put(slot)

    def ended(self, name: str) -> None:
        """Takes note of a trial that has ended."""
        with self._lock:
            self._coming.pop(name, None)
            self._there.discard(name)
            self._back.discard(name)

    def failed(self, name: str, words: str) -> None:
        """Takes note of a trial whose process could not start, or has ended by itself."""
        with self._lock:
            starting = name in self._coming
            if starting:
                self._failed_starts += 1
                self._not_before = time.monotonic() + PAUSES[min(self._failed_starts, len(PAUSES)) - 1]
            times = self._failed_starts
        self.ended(name)
        if starting:
            self._inbox.put(NotStarted(words or "it left no message", times))

    def rest(self) -> None:
        """Waits a moment, or until the driver wants something else."""
        self._changed.wait(REST_SECONDS)
        self._changed.clear()
