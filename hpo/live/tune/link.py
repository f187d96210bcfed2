"""What Tune's searcher, scheduler, stopper and callback share: the dispatch, and who is doing what for it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from hpo.live.blame import Blame
from hpo.live.dispatch import Dispatch
from hpo.live.tune.slots import Slots
from hpo.worker.training import Assignment, Report

BATCH_SECONDS = 2.0  # the work that a worker gets at a time, where epochs are known to be this short
START_SECONDS = 30.0  # that an assignment waits for a process that does not start, before it takes another's place
KEEP_SECONDS = 30.0  # that free processes are kept when no work is handed out and none starts: many times a start


class Link:
    """Hands assignments out and takes reports in. An error in either is kept, and stops the experiment."""

    def __init__(self, dispatch: Dispatch, slots: Slots, observe: Callable[[Dispatch, int], None]) -> None:
        self.dispatch = dispatch
        self.slots = slots
        self.error: BaseException | None = None
        self.interrupted: str = ""  # the signal's name
        self.excused: set[str] = set()  # Tune's trials that were given to a free process that had died before
        self.last_words = "it left no message"
        self._faults: dict[str, str] = {}  # Tune's trial -> why its process is about to end
        self._observe = observe
        self._running: dict[str, dict[str, Assignment]] = {}  # Tune's trial -> our trial -> its assignment
        self._seen: dict[str, tuple[str, int]] = {}  # Tune's trial -> worker and sequence number of its last report
        self._blame = Blame()
        self._handed: dict[str, float] = {}  # Tune's trial -> when its work was handed out
        self._handed_last = self._started_last = -math.inf
        self._workers: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Returns nothing: Tune pickles its parts for snapshots that no one reads, because the store is the state."""
        return {}

    @property
    def stopping(self) -> bool:
        return self.error is not None or bool(self.interrupted)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps the first error of the block instead of raising it into Tune."""
        try:
            yield
        except Exception as error:
            self.error = self.error or error

    def suggest(self, name: str) -> dict[str, Any] | str | None:
        """Returns the work for Tune's trial `name`, None where there is none now, FINISHED where there is none left."""
        with self.kept():
            if self.stopping or self.dispatch.finished:
                return str(Searcher.FINISHED)
            free = self.slots.count - len(self._running)
            if free <= 0:
                return None
            batch = self.dispatch.batch(BATCH_SECONDS, free - 1)
            if not batch and not self.dispatch.live and self.dispatch.waiting:
                self.dispatch.think(1.0)  # where nothing runs, Tune would sleep for a whole second
                batch = self.dispatch.batch(BATCH_SECONDS, free - 1)
            if batch:
                self._running[name] = {given.trial: given for given in batch}
                self._handed[name] = self._handed_last = time.monotonic()
                self.dispatch.busy = len(self._running)
                text = json.dumps([asdict(given) for given in batch])
                return {"assignments": text, **self.slots.shares}
        return None

    def receive(self, name: str, result: Mapping[str, Any]) -> None:
        """Takes a worker's reports once each: when a trial completes, Tune shows the last ones again."""
        with self.kept():
            stamp = (str(result.get("worker")), int(result.get("sequence", 0)))
            if "reports" not in result or self._seen.get(name) == stamp or name not in self._running:
                return
            self._seen[name] = stamp
            if stamp[0] not in self._workers:
                self._workers.add(stamp[0])
                self._started_last = time.monotonic()
            running, reports = self._running[name], json.loads(result["reports"])
            if fault := str(result.get("fault", "")):
                self._faults[name] = fault
                if result.get("own"):
                    self._blame.fault(reports[-1][0], stamp[0], fault)
            for trial, values in reports:
                report = Report(**values)
                self.dispatch.report(running[trial], report, stamp[0])
                if report.done:
                    running.pop(trial)
            if not running:
                self._forget(name)

    def died(self, name: str) -> None:
        """Takes back the work of a trial that Tune has given up, and gives ours up where it is to blame."""
        with self.kept():
            running = list(self._running.get(name, {}).values())
            if running and not self.stopping:
                for given in running:
                    self.dispatch.withdraw(given)
                current = running[0]
                if name not in self.excused:
                    self._blame.death(current.trial)
                if reason := self._blame.verdict(current.trial, self._faults.get(name, self.last_words)):
                    self.dispatch.lost(current, reason)
            self._forget(name)

    def is_late(self, name: str) -> bool:
        """Whether the trial should have begun by now, or has lost its place."""
        waited = time.monotonic() - max(self._handed.get(name, math.inf), self._started_last)
        return waited > START_SECONDS or len(self._running) > self.slots.count

    @property
    def busy_lately(self) -> bool:
        """Whether free processes will probably be needed soon."""
        return time.monotonic() - max(self._handed_last, self._started_last) < KEEP_SECONDS

    def _forget(self, name: str) -> None:
        for kept in (self._running, self._seen, self._handed, self._faults):
            kept.pop(name, None)
        self.excused.discard(name)
        self.dispatch.busy = len(self._running)

    def observe(self) -> None:
        with self.kept():
            self._observe(self.dispatch, self.slots.count)
