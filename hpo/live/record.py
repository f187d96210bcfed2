"""What is known of a study's trials: recovered from its store first, then reported by workers. Recorded as it comes in."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from hpo.errors import StudyFailed
from hpo.game.curves import Curves
from hpo.live.tracking import Tracking
from hpo.store import StudyData, StudyWriter
from hpo.store.effort import Effort
from hpo.store.recover import recorded, scripts
from hpo.study.values import Charge, EpochRecord, Failure, RunFailure, TrialKey

log = logging.getLogger(__name__)

RESUMPTION = "resumption"  # the name under which a trainable tells how its trials are resumed


class Record:
    """The curves, the effort they took, and the kinds of failures. Passes what is new to the store and the trackers.

    It adds no new epoch to the curves: the arena does, because that moves runs.
    """

    def __init__(self, writer: StudyWriter, tracking: Tracking, metric: str) -> None:
        self.curves = Curves()
        self.effort = Effort()
        self.failures: dict[str, str] = {}  # trial -> kind
        self.provenance: dict[str, list[str]] = {}
        self.trained = 0  # epochs of this sitting, those that were trained again among them
        self._writer, self._tracking, self._metric = writer, tracking, metric
        self._attempts: dict[tuple[str, int], int] = {}  # (trial, epoch) -> its last attempt, where it is not the first
        self.scripts = scripts(writer.stored, writer.changes)  # what each run must meet again
        self._recover(writer.stored)

    def _recover(self, stored: StudyData) -> None:
        recorded(self.curves, stored, self._metric)
        for row in stored.epochs.select(["trial", "epoch", "seconds", "attempt"]).to_pylist():
            self.effort.add(row["trial"], row["epoch"], row["seconds"], row["attempt"])
            if row["attempt"]:
                cell = (row["trial"], row["epoch"])
                self._attempts[cell] = max(self._attempts.get(cell, 0), row["attempt"])
        self.failures = {row["trial"]: row["kind"] for row in stored.failures.to_pylist()}

    def epoch(self, key: TrialKey, row: Mapping[str, Any], worker: str) -> EpochRecord | None:
        """Records an epoch that a worker reported; returns it where the curves do not have it yet.

        An epoch that was trained again is wasted, but not one that was read from a checkpoint. Raises StudyFailed where
        the study's metric is missing.
        """
        epoch, again = int(row["epoch"]), int(row["epoch"]) <= self.curves.known(key.id)
        if again and row.get("recovered"):
            return None
        self.trained += 1
        cell = (key.id, epoch)
        attempt = self._attempts.get(cell, 0) + 1 if again else 0
        if attempt:
            self._attempts[cell] = attempt
        metrics = row["metrics"]
        if self._metric not in metrics:
            have = ", ".join(sorted(metrics))
            raise StudyFailed(f"the trainable must report the study's metric {self._metric!r}, but it reports {have}")
        record = EpochRecord(key.id, epoch, metrics, float(row["seconds"]), attempt, worker, bool(row["ended"]))
        self._writer.epoch(key, record)
        self.effort.add(key.id, epoch, record.seconds, attempt)
        if again:
            return None
        self._tracking.epoch(key, record)
        return record

    def failure(self, trial: str, failure: Mapping[str, Any]) -> None:
        """Records the failure that ended a trial. Raises StudyFailed where no trial could do better: bad study, data, weights."""
        if failure["kind"] == "study":
            raise StudyFailed(failure["reason"])
        if failure["kind"] in ("data", "weights"):
            raise StudyFailed(f"the study's {failure['kind']} cannot be used: {failure['reason']}")
        self.failures[trial] = failure["kind"]
        self._writer.failure(Failure(trial, self.curves.known(trial), failure["reason"], failure["kind"]))

    def note(self, provenance: Mapping[str, str]) -> None:
        """Notes what a worker trains on: usually the same everywhere, and to be seen where it is not.

        What it tells of how trials are resumed, the user is told too, once.
        """
        for name, value in provenance.items():
            if value not in (seen := self.provenance.setdefault(name, [])):
                seen.append(value)
                if name == RESUMPTION:
                    log.warning("%s", value)

    def events(self, events: Iterable[Charge | RunFailure]) -> None:
        """Records what runs were charged and which failures they met, unless an earlier driver of the study did."""
        with self._writer.together():
            self._events(events)

    def _events(self, events: Iterable[Charge | RunFailure]) -> None:
        for event in events:
            script = self.scripts.get(str(event.run))
            new = script is None or script.wanted(event.order) is None  # versions before stored no failures of runs
            if isinstance(event, Charge):
                if new:
                    self._writer.charge(event)
                self._tracking.charge(event, new=new)
            elif new:
                self._writer.run_failure(event)
