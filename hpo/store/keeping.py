"""Keeps a study's summary while its writer writes: a small file beside the tables, for lists of studies."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from hpo.storage.place import Place
from hpo.store import layout, reader, schema, signs, summary
from hpo.store.errors import StoreError
from hpo.store.lease import Lease
from hpo.store.reader import StudyData
from hpo.store.state import Signs

KEEP_SECONDS = 10.0  # well below the time after which a silent driver counts as gone

log = logging.getLogger(__name__)


class Keeping:
    """Knows a study's facts from its stored tables and from what its writer hands over since, and writes them now and then.

    Lists do without the file, so that no error matters. Apart from `write_if_due`, which the thread of the delivery calls,
    all calls come from the writer's thread.
    """

    def __init__(self, where: Place, study: str, held: Lease, stored: StudyData, head: Mapping[str, Any]) -> None:
        self._place, self._study, self._lease = where, study, held
        self._definition, self._head = stored.definition, head
        self._runs: schema.Rows = ()
        self._trained = 0
        self._failed = summary.failed(stored)
        self._told: dict[str, Any] = {}  # what only the driver's words say
        self._end: dict[str, Any] = {}
        self._figures: dict[str, Any] | None = None
        self._due, self._closed = 0.0, False
        before = _before(where, study)
        self._facts = asdict(summary.facts(stored, Signs(holder=held.holder)))
        if before is not None:
            self._facts |= {"owner": before.owner, "priority": before.priority}
        self._over = Signs()  # once the study is

    def runs(self, rows: schema.Rows) -> None:
        """Takes the rows of the runs as they stand."""
        self._runs = rows

    def epoch(self, attempt: int) -> None:
        """Takes note that an epoch has arrived."""
        if not self._trained:
            self._due = 0.0  # the study runs
        self._trained += 1
        self._facts["trained_epochs"] += attempt == 0
        self._facts["updated"] = time.time()

    def failed(self, trial: str) -> None:
        """Takes note of a trial that a run saw fail."""
        self._failed.add(trial)

    def heard(self, event: str, facts: Mapping[str, Any]) -> None:
        """Takes a word of the driver's log. After the writer was closed, a last word is written at once."""
        if event == "begun":
            self._told = {name: facts[name] for name in ("owner", "priority", "command") if facts.get(name) is not None}
        elif event == "figures":
            self._figures = {**facts, "time": time.time()}
        else:
            self._end = {"event": event, **facts}
        if self._closed and event in signs.LAST_WORDS and not self._over.over:
            self._write()

    def write_if_due(self) -> None:
        """Writes the summary, at most every ten seconds."""
        if time.monotonic() > self._due:
            self._due = time.monotonic() + KEEP_SECONDS
            self._write()

    def close(self, *, sealed: bool) -> None:
        """Writes the summary of a study whose writer gives its lease back; `sealed`: one that is over, from its tables."""
        self._closed = True
        if sealed:
            with suppress(StoreError):
                data = reader.data(self._study, dict(self._head), reader.tables(self._place, self._study))
                held = {**self._lease.holder, "renewed": time.time(), "released": True}
                self._over = signs.of(self._place, self._study, data, (held, 0.0), sealed=True)
                kept = ("owner", "priority", "began")
                facts = asdict(summary.facts(data, self._over))
                self._facts = facts | {name: self._facts[name] for name in kept}
        self._write()

    def _write(self) -> None:
        try:
            self._lease.hold()
            content = summary.to_bytes(*self._now())
            self._place.replace(layout.summary(self._study), content)
        except StoreError as error:
            log.debug("the summary of %s stays as it was: %s", self._study, error)

    def _now(self) -> tuple[summary.Facts, Signs]:
        now = time.time()
        owned: dict[str, Any] = {name: self._told[name] for name in ("owner", "priority") if name in self._told}
        command = self._told.get("command") or (self._head.get("environment") or {}).get("command")
        facts = {**self._facts, **owned, "sign_of_life": now}
        if self._over.over:
            return summary.Facts.from_json({**facts, "figures": None}), self._over
        facts |= summary.standing(self._definition, self._runs) if self._runs else {}
        facts["failed_trials"] = len(self._failed)
        told = Signs(
            holder=self._lease.holder,
            released=self._closed,
            trained=self._trained > 0,
            last=now,
            ended=self._end.get("event", ""),
            reason=signs.reason(self._end),
            command=command,
        )
        best = facts["best"]
        plain = asdict(best) if isinstance(best, summary.Best) else best
        return summary.Facts.from_json({**facts, "best": plain, "figures": self._figures}), told


def _before(where: Place, study: str) -> summary.Facts | None:
    """Returns the facts that an earlier writer kept."""
    with suppress(StoreError):
        found = summary.from_bytes(where.read(layout.summary(study)))
        return None if found is None else found[0]
    return None
