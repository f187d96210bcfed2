"""Deletes checkpoints that are no longer needed, in a thread of its own, so that a slow place holds up nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from hpo.worker.checkpoints import Checkpoints

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0  # between two checks of the limit, when nothing is dropped
LEAST_SECONDS = 1.0  # between two listings of the place
PATIENCE_SECONDS = 60.0  # with a place that does not answer, at the end


class Tidying:
    """Deletes the checkpoints of trials that are dropped, and keeps all others together within `limit` bytes.

    Beyond the limit it deletes the oldest first, but none of a trial that is `busy`. A paused trial that lost its
    checkpoint is trained again when it is resumed: those epochs are wasted, and no result changes.
    """

    def __init__(self, checkpoints: Checkpoints, limit: float, busy: Callable[[], Collection[str]]) -> None:
        self._checkpoints, self._limit, self._busy = checkpoints, limit, busy
        self._changing = threading.Lock()
        self._dropped: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="checkpoints", daemon=True)
        self._thread.start()

    def drop(self, trial: str) -> None:
        """Gives up the checkpoints of a trial that no run can want any more. Wakes nobody: trials may end by the thousand."""
        with self._changing:
            self._dropped.add(trial)

    def keep(self, trial: str) -> None:
        """Keeps the checkpoints of a trial after all: it begins again."""
        with self._changing:
            self._dropped.discard(trial)

    def finish(self, *, everything: bool) -> None:
        """Deletes what is dropped or beyond the limit, or with `everything` the whole place.

        Waits up to a minute for a place that does not answer.
        """
        self._over.set()
        self._thread.join(PATIENCE_SECONDS)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._checkpoints.delete_all() if everything else self._tidy()
                return
            except OSError as error:
                if time.monotonic() > until:
                    log.warning("could not delete the checkpoints in %s: %s", self._checkpoints.uri, error)
                    return
                time.sleep(LEAST_SECONDS)

    def _loop(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(LEAST_SECONDS):
            if not self._dropped and time.monotonic() - looked < LOOK_SECONDS:
                continue
            looked = time.monotonic()
            try:
                self._tidy()
            except OSError as error:
                log.info("could not delete checkpoints yet: %s", error)

    def _tidy(self) -> None:
        with self._changing:
            dropped = set(self._dropped)
        self._checkpoints.trim(self._limit, self._busy(), dropped)
        with self._changing:
            self._dropped -= dropped
