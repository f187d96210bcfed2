"""Writing a study: results become rows, which are safe on disk at once and in the tables soon after."""

from __future__ import annotations

import json
import logging
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from hpo.storage.local import LocalPlace
from hpo.storage.place import Place, place
from hpo.store import agreement, compaction, layout, reader, rows, schema, seal
from hpo.store.delivery import Delivery
from hpo.store.differences import differences
from hpo.store.errors import StoreError, Unreachable
from hpo.store.journal import Journal, PostedJournal
from hpo.store.keeping import Keeping
from hpo.store.lease import TTL_SECONDS, Lease
from hpo.store.reader import StudyData
from hpo.store.spool import Spool
from hpo.study.values import Charge, EpochRecord, Failure, RunFailure, TrialKey

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


class StudyWriter:
    """The one writer of a study. A result is safe when the call that hands it over returns, and in the store soon after.

    While the store cannot be reached, results wait in the spool and the writer tries again with growing pauses. The
    next writer of the study on this machine delivers what is left in the spool.
    """

    def __init__(
        self, where: Place, study: str, lease: Lease, delivery: Delivery, keeping: Keeping, kinds: Mapping[str, str],
        stored: StudyData, head: dict[str, Any], environment: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self._place, self._study, self._lease = where, study, lease
        self._delivery, self._keeping, self._kinds = delivery, keeping, dict(kinds)
        self._closed = self._given_up = False
        self._head = head
        self._versions = agreement.installed(environment)
        self._versions_noted = False
        self.stored = stored
        self.changes = agreement.changes(agreement.decided_with(head["environment"]), self._versions)

    @classmethod
    def open(
        cls, uri: str, *, study: str, definition: dict[str, Any], digest: str,
        environment: dict[str, Any], space_kinds: Mapping[str, str],
    ) -> StudyWriter:  # fmt: skip
        """Takes the study's lease and delivers what an earlier writer left in the spool.

        Raises StoreError, with nothing written, if the store cannot be used, holds another study of the same name or
        runs of a method that has changed since, or has another writer.
        """
        where = place(uri)
        agreement.check_origin(_head(where, study, definition, digest), environment, f"{where.uri}/{study}")
        lease = Lease.take(where, study)
        try:
            head = _head(where, study, definition, digest)  # again: another writer may have come and gone since
            seal.open(where, study)
            made = uuid.uuid4().hex if head is None else head.get("made", "")
            spool = Spool.of(where, study, digest, made, lease.generation, lease.token)
            delivery = Delivery(where, study, lease, spool, space_kinds)
            delivery.deliver()
            found = reader.tables(where, study)
            compaction.finish(where, found)
            now = {
                "digest": digest,
                "study": definition,
                "environment": environment,
                **({"made": made} if made else {}),
            }
            head = _renewed(where, study, head, found, now)
            stored = reader.data(study, head, found)
            delivery.keep(_of_others(stored, definition))
            keeping = Keeping(where, study, lease, stored, head)
            delivery.also = keeping.write_if_due
        except BaseException:
            _let_go(lease)
            raise
        delivery.start()
        return cls(where, study, lease, delivery, keeping, space_kinds, stored, head, environment)

    @staticmethod
    def check(
        uri: str,
        *,
        study: str,
        definition: Mapping[str, Any],
        digest: str,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        """Raises StoreError, as `open` would, if the store cannot be used or holds another study of the same name.

        Writes nothing and takes no lease. `environment`: what it tells of where the results come from; none for training.
        """
        where = place(uri)
        agreement.check_origin(_head(where, study, definition, digest), environment or {}, f"{where.uri}/{study}")

    # -- results --------------------------------------------------------------------------------------------------

    def epoch(self, key: TrialKey, record: EpochRecord) -> None:
        """Takes a trained epoch. Raises StoreError for a metric that is named like a column or is not a number."""
        self._delivery.hand("epochs", rows.epoch_row(self._study, key, record, self._kinds, time.time()))
        self._keeping.epoch(record.attempt)

    def together(self) -> AbstractContextManager[None]:
        """Returns a block at whose end the results that are handed over in it are safe: in one write."""
        return self._delivery.gathering()

    def failure(self, failure: Failure) -> None:
        """Takes a trial's failure."""
        self._delivery.hand("failures", rows.failure_row(self._study, failure))
        self._keeping.failed(failure.trial)

    def charge(self, charge: Charge) -> None:
        """Takes a charged epoch."""
        self._note_versions()
        self._delivery.hand("charges", rows.charge_row(self._study, charge))
        if not math.isfinite(charge.value):
            self._keeping.failed(charge.trial)

    def run_failure(self, failure: RunFailure) -> None:
        """Takes a trial's failure as one run met it."""
        self._delivery.hand("run_failures", rows.run_failure_row(self._study, failure))
        self._keeping.failed(failure.trial)

    def exam(self, exam: Mapping[str, Any]) -> None:
        """Takes a winner's test. Raises StoreError for a metric that is named like a column or is not a number."""
        self._delivery.hand("exams", rows.exam_row(self._study, exam))

    def snapshot(self, trials: schema.Rows | schema.Columns, runs: schema.Rows) -> None:
        """Replaces the tables of trials and runs, which can be derived from the others at any time.

        Both are given away: nobody may change them any more.
        """
        self._delivery.replace({"trials": trials, "runs": runs})
        self._keeping.runs(runs)

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Takes whole tables of results that can be had again, such as a replay's; those of trials and runs replace theirs.

        The store has them when this returns. Raises StoreError if it cannot be reached.
        """
        self._note_versions()
        self._delivery.put(tables)

    def note(self, found: Mapping[str, Sequence[str]]) -> None:
        """Adds what workers trained on (name -> values) to that of earlier ones in the head's environment."""
        self._note("trained_on", found)

    def _note_versions(self) -> None:
        """Notes at the first charge with which versions this writer's runs decide: before it, nothing was decided with them."""
        if not self._versions_noted:
            self._versions_noted = True
            self._note(agreement.DECIDED_WITH, self._versions)

    def _note(self, section: str, found: Mapping[str, Sequence[str]]) -> None:
        environment = self._head.get("environment", {})
        known = dict(environment.get(section, {}))
        for name, values in found.items():
            known[name] = list(dict.fromkeys([*known.get(name, ()), *values]))
        if known == environment.get(section, {}) or self._delivery.failed:
            return
        self._head = {**self._head, "environment": {**environment, section: known}}
        try:
            self._lease.hold()
            self._place.replace(layout.head(self._study), json.dumps(self._head, indent=2).encode())
        except StoreError as error:
            log.warning("the environment of %s stays as it was: %s", self._study, error)

    def journal(self) -> Journal:
        """Opens the driver's log beside the tables, which outlives this writer."""
        where, study = self._place, self._study
        if isinstance(where, LocalPlace):
            return Journal(where.root / layout.log(study), self._keeping.heard)
        mine = layout.writer(self._lease.generation, self._lease.token)
        return PostedJournal(self._delivery.folder, mine, where, study, self._keeping.heard)

    # -- towards the store ----------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Why results wait in the spool, or which cannot be stored at all; empty if the store has all but the last batch."""
        return self._delivery.trouble or self._delivery.refused

    @property
    def waiting(self) -> int:
        """The number of rows and snapshots that the store does not have yet."""
        return self._delivery.waiting

    def flush(self) -> None:
        """Returns when the store has all results.

        Raises Unreachable after a minute of trying; the results are in the spool then, for the next writer to deliver.
        """
        try:
            self._delivery.flush()
        except Unreachable:
            self._given_up = True  # `close` need not wait for as long again
            raise

    def close(self, *, compact: bool) -> None:
        """Delivers everything, with `compact` merges the files of each table, and lets the next writer in."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._delivery.failed and not self._given_up:
                self._delivery.flush()
                self._delivery.stop()
                self._keeping.close(sealed=compact and self._compact())
        finally:
            self._delivery.stop()
            if self._delivery.failed:
                self._lease.abandon()
            else:
                _let_go(self._lease)

    def _compact(self) -> bool:
        """Merges the files of each table and seals them; False where they stay as they are.

        A table of many files is only slower to read, and a study without a seal only harder to verify, so that no error
        matters.
        """
        try:
            compaction.compact(self._place, self._study, self._lease.generation)
            seal.make(self._place, self._study)
        except StoreError as error:
            log.warning("the files of %s stay as they are: %s", self._study, error)
            return False
        return True


def _head(where: Place, study: str, definition: Mapping[str, Any], digest: str) -> dict[str, Any] | None:
    head = reader.head(where, study)
    if head is not None and head["digest"] != digest:
        stored = head.get("study")
        found = differences(stored if isinstance(stored, Mapping) else {}, definition)
        raise StoreError(
            f"a store must hold one study of a name, but {where.uri} has another study {study!r}, which differs in "
            f"{found or 'its digest'}; give this one another name or store, or delete the other one's folder"
        )
    return head


def _renewed(
    where: Place, study: str, head: dict[str, Any] | None, found: Mapping[str, reader.Rows], now: dict[str, Any]
) -> dict[str, Any]:
    """Returns the head for what the study is `now`, and writes it where the store has another one.

    Raises StoreError, with nothing written, if a method has changed whose runs the store holds.
    """
    before: dict[str, Any] = {} if head is None else head
    environment, methods = before.get("environment", {}), now["study"].get("methods", ())
    known = agreement.methods(head, found["runs"].table.to_pylist()) if head is not None else {}
    charged = set(found["charges"].table["method"].unique().to_pylist())
    merged = agreement.merged(known, methods, charged, f"{where.uri}/{study}")
    if head is not None and (head["study"], head["schema"]) == (now["study"], schema.VERSION):
        return head
    versions = agreement.decided_with(environment) if charged else agreement.installed(now["environment"])
    noted = {agreement.DECIDED_WITH: versions} if versions else {}
    environment = {**environment, **now["environment"], **noted}
    renewed = {**before, "schema": schema.VERSION, **now, "environment": environment, "methods": merged}
    where.replace(layout.head(study), json.dumps(renewed, indent=2).encode())
    return renewed


def _of_others(stored: reader.StudyData, definition: Mapping[str, Any]) -> dict[str, pa.Table]:
    """Returns the rows of runs that the store holds and the study, as it is now, does not name."""
    import pyarrow as pa

    mine = {f"{m['label']}/{seed}" for m in definition.get("methods", ()) for seed in definition.get("seeds", ())}
    found: dict[str, pa.Table] = {}
    if not mine:  # it does not say which runs it has
        return found
    for name in schema.SNAPSHOTS:
        table = getattr(stored, name)
        others = table.filter(pa.array([run not in mine for run in table["run"].to_pylist()], type=pa.bool_()))
        if others.num_rows:
            found[name] = others
    return found


def _let_go(lease: Lease) -> None:
    """Releases the lease. One that cannot be released, since the store does not answer, expires by itself."""
    try:
        lease.release()
    except StoreError as error:
        log.warning("the lease expires in %g s: %s", TTL_SECONDS, error)
