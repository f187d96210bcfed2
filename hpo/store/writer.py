"""Writing a study: rows go to the spool at once and to the store in batches, in a thread of their own."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpo.space import Value
from hpo.store import reader, schema
from hpo.store.errors import StoreError, Unreachable
from hpo.store.lease import RENEW_SECONDS, Lease
from hpo.store.places import Place, place
from hpo.store.reader import StudyData
from hpo.store.spool import Rows, Spool
from hpo.trial import Charge, EpochRecord, Failure, TrialKey

BATCH_SECONDS = 1.0
LONGEST_PAUSE = 30.0
CLOSE_SECONDS = 60.0


class StudyWriter:
    """The one writer of a study. What it is handed is safe when the call returns, and in the store soon after.

    A store that cannot be reached is tried again with growing pauses while everything waits in the spool; the next
    writer of the study on this machine finds it there.
    """

    def __init__(self, where: Place, study: str, lease: Lease, kinds: Mapping[str, str]) -> None:
        self._place, self._study, self._lease, self._kinds = where, study, lease, dict(kinds)
        self._spool = Spool.of(where, study, lease.generation)
        self._lock = threading.Lock()
        self._snapshots: dict[str, list[dict[str, Any]]] = {}
        self._wake, self._stop = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._trouble = ""
        self._renewed = time.monotonic()
        self.stored: StudyData
        self._thread = threading.Thread(target=self._loop, name="store", daemon=True)

    @classmethod
    def open(
        cls, uri: str, *, study: str, definition: dict[str, Any], digest: str,
        environment: dict[str, Any], space_kinds: Mapping[str, str],
    ) -> StudyWriter:  # fmt: skip
        """Takes the study's lease and what an earlier writer left in the spool.

        Raises StoreError, with nothing written, where the store cannot be used, holds another study of the same
        name, or has another writer.
        """
        where = place(uri)
        head = reader.definition(where, study)
        if head is not None and head["digest"] != digest:
            raise StoreError(
                f"a store must hold one study of a name, but {uri} has another study {study!r} with other data, space, "
                "budget or clock; give this one another name or another store"
            )
        lease = Lease.take(where, study)
        whole = {"schema": schema.VERSION, "digest": digest, "study": definition, "environment": environment}
        content = json.dumps(whole, indent=2).encode()
        if head is None:
            where.create(f"{study}/study.json", content)
        elif head["study"] != definition:
            where.replace(f"{study}/study.json", content)
        writer = cls(where, study, lease, space_kinds)
        writer._drain()
        writer.stored = reader.data(where, study, {"study": definition, "environment": environment})
        writer._thread.start()
        return writer

    # -- what is handed over --------------------------------------------------------------------------------------

    def epoch(self, key: TrialKey, record: EpochRecord) -> None:
        """A trained epoch. Raises StoreError for a metric that is named like a column."""
        schema.check_metrics("epochs", record.metrics)
        self._append(
            "epochs",
            {
                "study": self._study,
                "trial": record.trial,
                "seed": key.seed,
                "max_epochs": key.max_epochs,
                **{f"config_{n}": self._column(n, v) for n, v in key.config.items()},
                "epoch": record.epoch,
                "seconds": record.seconds,
                "attempt": record.attempt,
                "worker": record.worker,
                "ended": record.ended,
                "finished": time.time(),
                **record.metrics,
            },
        )

    def _column(self, name: str, value: Value) -> Value:
        return str(value) if self._kinds.get(name) == "str" else value

    def failure(self, failure: Failure) -> None:
        row = {"trial": failure.trial, "epoch": failure.epoch, "kind": failure.kind, "reason": failure.reason}
        self._append("failures", {"study": self._study, **row})

    def charge(self, charge: Charge) -> None:
        self._append(
            "charges",
            {
                "study": self._study,
                "run": str(charge.run),
                "method": charge.run.method,
                "seed": charge.run.seed,
                "order": charge.order,
                "trial": charge.trial,
                "number": charge.number,
                "epoch": charge.epoch,
                "at": charge.at,
                "value": charge.value,
            },
        )

    def exam(self, row: Mapping[str, Any]) -> None:
        """A winner's test: trial, exam, seed, epoch, test metrics, and `confusion` as nested lists where there is one."""
        confusion = row.get("confusion")
        metrics = {k: v for k, v in row.items() if k not in schema.columns("exams")}
        schema.check_metrics("exams", metrics)
        text = confusion if confusion is None or isinstance(confusion, str) else json.dumps(confusion)
        self._append("exams", {"study": self._study, **row, "confusion": text})

    def snapshot(self, trials: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> None:
        """How trials and runs stand: replaces both tables whole. They can be derived from the others at any time."""
        with self._lock:
            self._snapshots = {"trials": [dict(r) for r in trials], "runs": [dict(r) for r in runs]}

    def _append(self, table: str, row: Mapping[str, Any]) -> None:
        if self._error is not None:
            raise self._error
        with self._lock:
            self._spool.append(table, row)

    # -- towards the store ----------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Why results wait in the spool; empty when the store has everything but the last second's."""
        return self._trouble

    def flush(self) -> None:
        """Returns when the store has all that was handed over, or after a minute of trying leaves it in the spool."""
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._error is None and time.monotonic() < deadline:
            with self._lock:
                self._spool.rotate()
                idle = not self._spool.batches() and not self._snapshots
            if idle:
                return
            self._wake.set()
            time.sleep(0.02)
        if self._error is not None:
            raise self._error
        raise Unreachable(
            f"results wait in {self._spool.folder}, because {self._trouble or 'the store does not answer'}; "
            "the same command brings them in when the store answers again"
        )

    def close(self, *, compact: bool) -> None:
        """Hands everything over, makes one file of each table where asked, and lets the next writer in."""
        try:
            if self._error is None:
                self.flush()
        finally:
            self._stop.set()
            self._wake.set()
            self._thread.join(timeout=CLOSE_SECONDS)
        if self._error is not None:
            return
        if compact:
            self._compact()
        self._lease.release()

    def _loop(self) -> None:
        pause = BATCH_SECONDS
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            try:
                self._renew()
                self._drain()
                pause, self._trouble = BATCH_SECONDS, ""
            except Unreachable as error:
                pause, self._trouble = min(LONGEST_PAUSE, pause * 2), str(error)
            except BaseException as error:  # shown to the caller at its next call
                self._error = error
                return

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self._lease.renew()
            self._renewed = time.monotonic()

    def _drain(self) -> None:
        """Brings the spool's batches into the store; a batch that was written before is known by its name."""
        with self._lock:
            self._spool.rotate()
            batches = self._spool.batches()
            snapshots, self._snapshots = self._snapshots, {}
        try:
            for batch in batches:
                self._bring(batch, self._spool.rows(batch))
                self._spool.drop(batch)
            for table, rows in list(snapshots.items()):
                whole = schema.to_table(table, rows, self._kinds, distinct=True)
                self._place.replace(f"{self._study}/{table}/current.parquet", _parquet(whole))
                del snapshots[table]
        finally:
            with self._lock:
                self._snapshots = {**snapshots, **self._snapshots}

    def _bring(self, batch: str, rows: Rows) -> None:
        for table, some in rows.items():
            content = _parquet(schema.to_table(table, some, self._kinds))
            self._place.create(f"{self._study}/{table}/{batch}.parquet", content)

    def _compact(self) -> None:
        """One file a table. The new file appears before the old ones go: readers count every row once all the while."""
        for table in schema.TABLES:
            names = reader.parts(self._place, self._study, table)
            if table in schema.SNAPSHOTS or len(names) < 2:
                continue
            warnings: list[str] = []
            whole = reader._table(self._place, self._study, table, warnings)
            if warnings:
                continue  # a file that cannot be read stays for somebody to look at, and so do the others
            self._place.create(f"{self._study}/{table}/all-{self._lease.generation:06d}.parquet", _parquet(whole))
            for name in names:
                self._place.delete(name)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
