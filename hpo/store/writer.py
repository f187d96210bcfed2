"""Writing a study: what is handed over becomes rows, safe on disk at once and in the tables soon after."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.storage.local import LocalPlace
from hpo.storage.place import Place, place
from hpo.store import compaction, layout, reader, schema
from hpo.store.delivery import Delivery
from hpo.store.errors import StoreError
from hpo.store.journal import Journal, PostedJournal
from hpo.store.lease import TTL_SECONDS, Lease
from hpo.store.reader import StudyData
from hpo.store.spool import Spool
from hpo.study.space import Value
from hpo.study.values import Charge, EpochRecord, Failure, TrialKey

log = logging.getLogger(__name__)


class StudyWriter:
    """The one writer of a study. What it is handed is safe when the call returns, and in the store soon after.

    A store that cannot be reached is tried again with growing pauses while everything waits in the spool; the next
    writer of the study on this machine finds it there.
    """

    def __init__(
        self, where: Place, study: str, lease: Lease, delivery: Delivery, kinds: Mapping[str, str], stored: StudyData,
        head: dict[str, Any],
    ) -> None:  # fmt: skip
        self._place, self._study, self._lease = where, study, lease
        self._delivery, self._kinds = delivery, dict(kinds)
        self._closed, self._head = False, head
        self.stored = stored

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
        _head(where, study, digest)
        lease = Lease.take(where, study)
        try:
            head = _head(where, study, digest)  # again: another writer may have been and gone in between
            if head is None or (head["study"], head["schema"]) != (definition, schema.VERSION):
                known = {**head.get("environment", {}), **environment} if head else environment
                head = {"schema": schema.VERSION, "digest": digest, "study": definition, "environment": known}
                where.replace(layout.head(study), json.dumps(head, indent=2).encode())
            spool = Spool(Spool.place(where, study, digest), lease.generation, lease.token)
            delivery = Delivery(where, study, lease, spool, space_kinds)
            delivery.deliver()
            found = reader.tables(where, study)
            compaction.finish(where, found)
            stored = reader.data(study, head, found)
        except BaseException:
            _let_go(lease)
            raise
        delivery.start()
        return cls(where, study, lease, delivery, space_kinds, stored, head)

    # -- what is handed over --------------------------------------------------------------------------------------

    def epoch(self, key: TrialKey, record: EpochRecord) -> None:
        """A trained epoch. Raises StoreError for a metric that is named like a column, or is no number."""
        row = {
            "study": self._study,
            "trial": record.trial,
            "seed": key.seed,
            "max_epochs": key.max_epochs,
            **{f"config_{n}": self._column(n, v) for n, v in key.config.items()},
            "epoch": record.epoch,
            "seconds": float(record.seconds),
            "attempt": record.attempt,
            "worker": record.worker,
            "ended": bool(record.ended),
            "finished": time.time(),
        }
        self._delivery.hand("epochs", {**row, **schema.metrics("epochs", record.metrics)})

    def _column(self, name: str, value: Value) -> Value:
        return str(value) if self._kinds.get(name) == "str" else value

    def failure(self, failure: Failure) -> None:
        row = {"trial": failure.trial, "epoch": failure.epoch, "kind": failure.kind, "reason": failure.reason}
        self._delivery.hand("failures", {"study": self._study, **row})

    def charge(self, charge: Charge) -> None:
        self._delivery.hand(
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
                "at": float(charge.at),
                "value": float(charge.value),
            },
        )

    def exam(self, row: Mapping[str, Any]) -> None:
        """A winner's test: trial, exam, seed, epoch, test metrics; `confusion` [K][K] and names of `classes` [K], if any."""
        own = {name: row[name] for name in schema.columns("exams") if name in row}
        for name in own.keys() & {"confusion", "classes"}:
            if own[name] is not None and not isinstance(own[name], str):
                own[name] = json.dumps(own[name])
        measured = {name: value for name, value in row.items() if name not in own}
        self._delivery.hand("exams", {**own, "study": self._study, **schema.metrics("exams", measured)})

    def snapshot(self, trials: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> None:
        """How trials and runs stand: replaces both tables whole. They can be derived from the others at any time."""
        self._delivery.replace({"trials": [dict(row) for row in trials], "runs": [dict(row) for row in runs]})

    def note(self, found: Mapping[str, Sequence[str]]) -> None:
        """Adds what workers trained on (name -> values) to the head's environment, after what earlier ones did."""
        environment = self._head.get("environment", {})
        known = dict(environment.get("trained_on", {}))
        for name, values in found.items():
            known[name] = list(dict.fromkeys([*known.get(name, ()), *values]))
        if known == environment.get("trained_on", {}) or self._delivery.failed:
            return
        self._head = {**self._head, "environment": {**environment, "trained_on": known}}
        try:
            self._place.replace(layout.head(self._study), json.dumps(self._head, indent=2).encode())
        except StoreError as error:
            log.warning("the environment of %s stays as it was: %s", self._study, error)

    def journal(self) -> Journal:
        """The driver's log beside the tables; it outlives this writer."""
        where, study = self._place, self._study
        if isinstance(where, LocalPlace):
            return Journal(where.root / layout.log(study))
        mine = layout.writer(self._lease.generation, self._lease.token)
        return PostedJournal(self._delivery.folder, mine, where, study)

    # -- towards the store ----------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Why results wait in the spool; empty when the store has everything but the last batch."""
        return self._delivery.trouble

    @property
    def waiting(self) -> int:
        """How far the store is behind: rows and snapshots that only the spool has."""
        return self._delivery.waiting

    def flush(self) -> None:
        """Returns when the store has all that was handed over.

        Raises Unreachable after a minute of trying: everything is in the spool then, for the next writer to bring in.
        """
        self._delivery.flush()

    def close(self, *, compact: bool) -> None:
        """Hands everything over, makes one file of each table where asked, and lets the next writer in."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._delivery.failed:
                self._delivery.flush()
                self._delivery.stop()
                if compact:
                    self._compact()
        finally:
            self._delivery.stop()
            if not self._delivery.failed:
                _let_go(self._lease)

    def _compact(self) -> None:
        """Tables of many files are as good as those of one, only slower: what hinders this is no failure."""
        try:
            compaction.compact(self._place, self._study, self._lease.generation)
        except StoreError as error:
            log.warning("the files of %s stay as they are: %s", self._study, error)


def _head(where: Place, study: str, digest: str) -> dict[str, Any] | None:
    head = reader.head(where, study)
    if head is not None and head["digest"] != digest:
        raise StoreError(
            f"a store must hold one study of a name, but {where.uri} has another study {study!r} with other data, space, "
            "budget or clock; give this one another name or another store"
        )
    return head


def _let_go(lease: Lease) -> None:
    """A lease that cannot be released, because the store does not answer, runs out by itself."""
    try:
        lease.release()
    except StoreError as error:
        log.warning("the lease runs out in %g s: %s", TTL_SECONDS, error)
