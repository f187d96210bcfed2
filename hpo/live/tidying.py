"""Checkpoints that nobody needs any more go, in a thread of its own: a place that does not answer holds up nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from hpo.worker.checkpoints import Checkpoints

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0  # how often the limit is looked at
LEAST_SECONDS = 1.0  # between two listings
PATIENCE_SECONDS = 60.0


class Tidying:
    """Deletes what `drop` names and keeps all checkpoints within `limit` bytes.

    Beyond the limit the oldest go first, but none of a trial that is `busy`: a paused trial that lost its checkpoint
    is trained again when it is resumed, which is counted as waste and changes no result.
    """

    def __init__(self, checkpoints: Checkpoints, limit: float, busy: Callable[[], Collection[str]]) -> None:
        self._checkpoints, self._limit, self._busy = checkpoints, limit, busy
        self._changed = threading.Condition()
        self._dropped: set[str] = set()
        self._over = False
        self._thread = threading.Thread(target=self._loop, name="checkpoints", daemon=True)
        self._thread.start()

    def drop(self, trial: str) -> None:
        """No run can want the trial any more."""
        with self._changed:
            self._dropped.add(trial)
            self._changed.notify_all()

    def keep(self, trial: str) -> None:
        """It is wanted again."""
        with self._changed:
            self._dropped.discard(trial)

    def finish(self, *, everything: bool) -> None:
        """Does what is left to do, and with `everything` removes all there is; waits for a place for a minute."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join(PATIENCE_SECONDS)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._checkpoints.delete_all() if everything else self._tidy()
                return
            except OSError as error:
                if time.monotonic() > until:
                    log.warning("checkpoints stay in %s: %s", self._checkpoints.uri, error)
                    return
                time.sleep(LEAST_SECONDS)

    def _loop(self) -> None:
        while True:
            with self._changed:
                if not self._over and not self._dropped:
                    self._changed.wait(LOOK_SECONDS)
                if self._over:
                    return
            try:
                self._tidy()
            except OSError as error:
                log.info("checkpoints are not tidied: %s", error)
            with self._changed:
                self._changed.wait_for(lambda: self._over, LEAST_SECONDS)

    def _tidy(self) -> None:
        with self._changed:
            gone = set(self._dropped)
        if gone:
            self._checkpoints.delete(gone)
        self._checkpoints.trim(self._limit, self._busy())
        with self._changed:
            self._dropped -= gone
