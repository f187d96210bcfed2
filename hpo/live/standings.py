"""How the runs of a study stand, written to its store now and then, for others to read while it runs."""

from __future__ import annotations

import time

from hpo.game.arena import Arena
from hpo.live.record import Record
from hpo.live.thinking import Thinking
from hpo.store import StudyWriter, rows
from hpo.study.study import Study

SNAPSHOT_SECONDS = 5.0
SNAPSHOT_SHARE = 0.02  # of the driver's time: a snapshot takes longer the more trials there are


class Standings:
    """Writes snapshots of all trials and runs."""

    def __init__(self, study: Study, arena: Arena, record: Record, thinking: Thinking, writer: StudyWriter) -> None:
        self._study, self._arena, self._record = study, arena, record
        self._thinking, self._writer = thinking, writer
        self._due = 0.0

    def write_if_due(self) -> None:
        if time.monotonic() > self._due:
            self.write()

    def write(self) -> None:
        """Writes a snapshot, unless a run is thinking: such a run must not be read meanwhile."""
        began = time.monotonic()
        self._due = began + SNAPSHOT_SECONDS
        if self._thinking:
            return
        study, runs, record = self._study, self._arena.runs, self._record
        methods = {method.label: method for method in study.methods}
        self._writer.snapshot(
            rows.trial_columns(study.study, runs, study.kinds, record.failures),
            rows.run_rows(study.study, runs, methods, record.effort),
        )
        ended = time.monotonic()
        self._due = ended + max(SNAPSHOT_SECONDS, (ended - began) / SNAPSHOT_SHARE)
