"""From the spool to the store, in a thread of its own: sends batches, backs off, renews the lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.storage.local import LocalPlace
from hpo.storage.place import Place
from hpo.store import layout, schema
from hpo.store.errors import StoreError, Unreachable
from hpo.store.lease import RENEW_SECONDS, Gone, Lease, LeaseLost
from hpo.store.parquet import to_bytes
from hpo.store.spool import Refused, Row, Spool

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_SECONDS = 1.0
LONGEST_BATCH_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
DECIDED = ("charges", "run_failures")  # tables that can be played again from the others


class Delivery:
    """Keeps rows safe from the moment they are handed over, and writes them to the tables soon after.

    While the store cannot be reached, has no room or refuses the credentials, rows wait in the spool and the thread
    tries again with growing pauses. Only a lost lease ends the delivery: another writer has taken over, or the study was
    moved or deleted, which must not be taken for an empty store.
    """

    def __init__(self, place: Place, study: str, lease: Lease, spool: Spool, kinds: Mapping[str, str]) -> None:
        self._place, self._study, self._lease, self._spool, self._kinds = place, study, lease, spool, dict(kinds)
        self._fenced = isinstance(place, LocalPlace)  # the next writer empties this spool, on whatever machine it runs
        self._changed = threading.Condition()
        self._handed = self._delivered = 0  # rows and snapshots
        self._gathered: list[Row] | None = None  # handed over and not yet in the spool
        self._snapshots: dict[str, schema.Rows | schema.Columns] = {}
        self._kept: Mapping[str, pa.Table] = {}
        self.also: Callable[[], None] = lambda: None  # done in every round, right after the lease was seen to
        self._hurry = self._stop = False
        self._begun = time.monotonic()
        self._error: BaseException | None = None
        self.trouble = ""
        self.refused = ""  # which rows no table can hold, and where they are kept
        self._thread = threading.Thread(target=self._loop, name="store", daemon=True)

    def keep(self, tables: Mapping[str, pa.Table]) -> None:
        """Takes rows that every snapshot of a table keeps: those of runs that this writer does not play."""
        self._kept = tables

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    # -- the caller's side ----------------------------------------------------------------------------------------

    def hand(self, table: str, row: Mapping[str, Any]) -> None:
        """Takes a row, which survives the process when this returns. Raises the error that ended the delivery, if any."""
        self._check()
        if self._gathered is None:
            self._take([(table, row)])
        else:
            self._gathered.append((table, row))

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Takes the rows that are handed over in the block together: they survive the process when the block ends."""
        if self._gathered is not None:  # in a wider block, whose end is soon enough
            yield
            return
        self._gathered = []
        try:
            yield
        finally:
            rows, self._gathered = self._gathered, None
            if rows:
                self._check()
                self._take(rows)

    def _take(self, rows: Sequence[Row]) -> None:
        if self._fenced and self._lease.expired and not self.trouble:
            self._prove()
        with self._changed:
            self._spool.append(rows)
            self._handed += len(rows)

    def replace(self, tables: Mapping[str, schema.Rows | schema.Columns]) -> None:
        """Takes snapshots of tables; of several between two deliveries only the last one is written."""
        self._check()
        with self._changed:
            self._snapshots = {**self._snapshots, **tables}
            self._handed += 1

    def put(self, tables: Mapping[str, pa.Table]) -> None:
        """Writes whole tables past the spool, for results that can be had again; a snapshot replaces the one before it.

        Returns when the store has them. Raises what a place raises.
        """
        self._check()
        with self._changed:
            batch = self._spool.skip()
        for table in schema.TABLES:
            if table in tables and table in schema.SNAPSHOTS:
                self._lease.hold()
                self._place.replace(layout.snapshot(self._study, table), _joined(self._kept.get(table), tables[table]))
            elif table in tables and tables[table].num_rows:
                self._lease.hold()
                self._place.create(layout.part(self._study, table, batch), to_bytes(tables[table]))

    def flush(self) -> None:
        """Returns when the store has everything. Raises Unreachable after a minute of trying."""
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
                "the same command delivers them when the store answers again"
            )

    def stop(self) -> None:
        """Ends the thread when it has finished its current round."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        self._thread.join(timeout=PATIENCE_SECONDS)

    @property
    def folder(self) -> Path:
        """The spool's folder on this machine."""
        return self._spool.folder

    @property
    def waiting(self) -> int:
        """The number of rows and snapshots that the store does not have yet."""
        return self._handed - self._delivered

    @property
    def failed(self) -> bool:
        """Whether the delivery has ended: nothing more may be written."""
        return self._error is not None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _prove(self) -> None:
        """Renews the lease before a row is accepted after a long silence, such as a suspended process."""
        try:
            self._lease.renew()
        except LeaseLost as error:
            self._end(error)
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
            except LeaseLost as error:
                self._end(error)
            except StoreError as error:
                pause, self.trouble = min(LONGEST_PAUSE_SECONDS, max(BATCH_SECONDS, 2 * pause)), str(error)
            except BaseException as error:  # raised at the caller's next call
                self._end(error)

    def _interval(self) -> float:
        """Returns the seconds between batches; it grows with age, so that a study of days has thousands of files, not more."""
        return min(LONGEST_BATCH_SECONDS, max(BATCH_SECONDS, (time.monotonic() - self._begun) / 600))

    def _wait(self, seconds: float) -> bool:
        """Waits until the next round is due, at the latest when the lease is; returns False if the delivery is over."""
        due = time.monotonic() + seconds
        while True:
            with self._changed:
                left = due - time.monotonic()
                if self._stop or self._error is not None:
                    return False
                if left <= 0 or (not self.trouble and (self._hurry or self._lease.due)):
                    self._hurry = False
                    return True
                if self._hurry:  # somebody waits for a store in trouble: try more often, but without haste
                    self._hurry = False
                    due = min(due, time.monotonic() + BATCH_SECONDS)
                self._changed.wait(min(left, RENEW_SECONDS / 4))

    def _end(self, error: BaseException) -> None:
        with self._changed:
            waits = isinstance(error, Gone) and self._spool.folder.is_dir()
            self._error = Gone(f"{error}; results that it lacks wait in {self._spool.folder}") if waits else error
            self._changed.notify_all()

    def _round(self) -> None:
        self._renew()
        with self._changed:
            self._spool.rotate()
            handed, snapshots, self._snapshots = self._handed, self._snapshots, {}
        try:
            self.deliver()
            for table in list(snapshots):
                whole, refused = schema.fitting(table, snapshots[table], self._kinds, distinct=True)
                self._set_aside(table, [(table, row, why) for row, why in refused])
                self._lease.hold()
                self._place.replace(layout.snapshot(self._study, table), _joined(self._kept.get(table), whole))
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
        if not self.trouble:
            self.also()

    def deliver(self) -> None:
        """Writes all ended batches to the tables, epochs before the charges that refer to them.

        A row that no table can hold is set aside: it must not hold up the others.
        """
        with self._changed:
            batches = self._spool.batches()
        for batch in batches:
            rows, late = self._spool.rows(batch), _late(batch, self._lease)
            refused: list[Refused] = [
                (table, row, "there is no such table")
                for table in rows.keys() - set(schema.TABLES)
                for row in rows[table]
            ]
            for table in schema.TABLES:
                if table not in rows or (late and table in DECIDED):  # others decided since, and perhaps otherwise
                    continue
                whole, left = schema.fitting(table, rows[table], self._kinds)
                refused += [(table, row, why) for row, why in left]
                self._lease.hold()
                self._place.create(layout.part(self._study, table, _named(batch, self._lease)), to_bytes(whole))
            self._set_aside(batch, refused)
            with self._changed:
                self._spool.drop(batch)
            self._renew()

    def _set_aside(self, batch: str, refused: Sequence[Refused]) -> None:
        """Keeps rows that no table can hold where they hold up no others."""
        if not refused:
            return
        try:
            self.refused = self._spool.set_aside(batch, refused)
        except OSError as error:
            raise StoreError(
                f"rows that cannot be stored must be kept in {self._spool.folder}, but: {error.strerror}; make room"
            ) from None


def _named(batch: str, mine: Lease) -> str:
    """Returns the name under which a batch is stored: its own, so that a second delivery changes nothing.

    A batch that waited on this machine while others wrote elsewhere is named after this writer: its file must come after
    theirs, since the first row written counts.
    """
    return f"{mine.generation:06d}-{mine.token}-late-{batch}" if _late(batch, mine) else batch


def _late(batch: str, mine: Lease) -> bool:
    """Whether others may have written since the batch was."""
    return layout.generation(batch) < mine.generation - 1


def _joined(kept: pa.Table | None, snapshot: pa.Table) -> bytes:
    import pyarrow as pa

    return to_bytes(snapshot if kept is None else pa.concat_tables([kept, snapshot], promote_options="permissive"))
