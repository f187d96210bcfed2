"""From the spool to the store, in a thread of its own: batches, back-off, the lease kept alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.storage.local import LocalPlace
from hpo.storage.place import Place
from hpo.store import layout, schema
from hpo.store.errors import StoreError, Unreachable
from hpo.store.lease import RENEW_SECONDS, Lease, TakenOver
from hpo.store.parquet import to_bytes
from hpo.store.spool import Spool

BATCH_SECONDS = 1.0
LONGEST_BATCH_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
PATIENCE_SECONDS = 60.0


class Delivery:
    """Keeps rows safe from the moment they are handed over, and brings them into the tables soon after.

    A store that cannot be reached, has no room or refuses these credentials is tried again with growing pauses;
    everything waits in the spool meanwhile. Only another writer that has taken over ends it.
    """

    def __init__(self, place: Place, study: str, lease: Lease, spool: Spool, kinds: Mapping[str, str]) -> None:
        self._place, self._study, self._lease, self._spool, self._kinds = place, study, lease, spool, dict(kinds)
        self._fenced = isinstance(place, LocalPlace)  # its spool lies where the next writer empties it
        self._changed = threading.Condition()
        self._handed = self._delivered = 0  # rows and snapshots
        self._snapshots: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._hurry = self._stop = False
        self._begun = time.monotonic()
        self._error: BaseException | None = None
        self.trouble = ""
        self._thread = threading.Thread(target=self._loop, name="store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    # -- the caller's side ----------------------------------------------------------------------------------------

    def hand(self, table: str, row: Mapping[str, Any]) -> None:
        """The row survives the process when this returns. Raises what ended the delivery, if anything has."""
        self._check()
        if self._fenced and self._lease.expired and not self.trouble:
            self._prove()
        with self._changed:
            self._spool.append(table, row)
            self._handed += 1

    def replace(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Snapshots: only the last of those handed over between two deliveries is written."""
        self._check()
        with self._changed:
            self._snapshots = {**self._snapshots, **tables}
            self._handed += 1

    def flush(self) -> None:
        """Returns when the store has all that was handed over. Raises Unreachable after a minute of trying."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            wanted = self._handed
            while self._error is None and self._delivered < wanted and time.monotonic() < deadline:
                self._hurry = True
                self._changed.notify_all()
                self._changed.wait(0.5)
            done = self._delivered >= wanted
        self._check()
        if not done:
            raise Unreachable(
                f"results wait in {self._spool.folder}, because {self.trouble or 'the store does not answer'}; "
                "the same command brings them in when the store answers again"
            )

    def stop(self) -> None:
        """Ends the thread after what it is doing."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        self._thread.join(timeout=PATIENCE_SECONDS)

    @property
    def folder(self) -> Path:
        """Where on this machine waits what the store does not have yet."""
        return self._spool.folder

    @property
    def waiting(self) -> int:
        """Rows and snapshots that were handed over and are not in the store yet."""
        return self._handed - self._delivered

    @property
    def failed(self) -> bool:
        """Whether nothing more may be written."""
        return self._error is not None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _prove(self) -> None:
        """After a long silence (a suspended process) nothing is accepted before the lease is known to hold still."""
        try:
            self._lease.renew()
        except TakenOver as error:
            self._error = error
            raise
        except StoreError as error:
            self.trouble = str(error)

    # -- the thread's side ----------------------------------------------------------------------------------------

    def _loop(self) -> None:
        pause = 0.0
        while self._wait(pause or self._interval()):
            try:
                self._round()
                pause, self.trouble = 0.0, ""
            except TakenOver as error:
                self._end(error)
            except StoreError as error:
                pause, self.trouble = min(LONGEST_PAUSE_SECONDS, max(BATCH_SECONDS, 2 * pause)), str(error)
            except BaseException as error:  # shown to the caller at its next call
                self._end(error)

    def _interval(self) -> float:
        """Batches grow with the study's age, so that days of results are thousands of files and not a hundred thousand."""
        return min(LONGEST_BATCH_SECONDS, max(BATCH_SECONDS, (time.monotonic() - self._begun) / 600))

    def _wait(self, seconds: float) -> bool:
        """Until the next round is due; False when there is to be none. Keeps the lease meanwhile."""
        due = time.monotonic() + seconds
        while True:
            with self._changed:
                left = due - time.monotonic()
                if self._stop or self._error is not None:
                    return False
                if left <= 0 or (not self.trouble and (self._hurry or self._lease.due)):
                    self._hurry = False
                    return True
                if self._hurry:  # somebody waits for a store in trouble: try more often, but do not press
                    self._hurry = False
                    due = min(due, time.monotonic() + BATCH_SECONDS)
                self._changed.wait(min(left, RENEW_SECONDS / 4))

    def _end(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _round(self) -> None:
        self._renew()
        with self._changed:
            self._spool.rotate()
            handed, snapshots, self._snapshots = self._handed, self._snapshots, {}
        try:
            self.deliver()
            for table in list(snapshots):
                whole = schema.to_table(table, snapshots[table], self._kinds, distinct=True)
                self._place.replace(layout.snapshot(self._study, table), to_bytes(whole))
                del snapshots[table]
        finally:
            with self._changed:
                self._snapshots = {**snapshots, **self._snapshots}
        with self._changed:
            self._delivered = handed
            self._changed.notify_all()

    def _renew(self) -> None:
        if self._lease.due:
            self._lease.renew()

    def deliver(self) -> None:
        """Brings all ended batches into the tables, in the order in which readers need them: epochs before charges."""
        with self._changed:
            batches = self._spool.batches()
        for batch in batches:
            rows = self._spool.rows(batch)
            for table in schema.TABLES:
                if table in rows:
                    content = to_bytes(schema.to_table(table, rows[table], self._kinds))
                    self._place.create(layout.part(self._study, table, self._named(batch)), content)
            self._spool.drop(batch)
            self._renew()

    def _named(self, batch: str) -> str:
        """A batch keeps its name, by which a second delivery of it is known; one that waited while others wrote
        (on another machine) is filed under this writer, since the first row written is the one that counts."""
        mine = self._lease.generation
        if layout.generation(batch) >= mine - 1:
            return batch
        return f"{mine:06d}-{self._lease.token}-late-{batch}"
