"""One study as the service reads it: its tables, its state, its summary. Blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from hpo.service.context import Reading
from hpo.service.problems import Problem
from hpo.storage.place import place
from hpo.store import StudyData, schema, signs, summary
from hpo.store.growing import GrowingStudy, NoStudy

Waiting = Callable[[], Mapping[str, float]]  # since when a job that will play a study waits for its turn


class StudyLook:
    """Looks at a study again and again; returns the same Reading for as long as nothing of the study changes."""

    def __init__(self, uri: str, study: str, waiting: Waiting) -> None:
        self._uri, self._study, self._waiting = uri, study, waiting
        self._growing = GrowingStudy(place(uri), study)
        self._last: Reading | None = None

    def __call__(self) -> Reading:
        """Returns the study as it is now. Raises Problem 404 where it is gone."""
        try:
            look = self._growing.look()
        except NoStudy as error:
            self._last = None
            raise Problem(404, str(error)) from None
        where, waiting = place(self._uri), self._waiting().get(self._study)
        state = signs.read(where, self._study, data=look.data, waiting=waiting)
        about = summary.of(where, look.data, state)
        version = hashlib.sha256(repr((look.version, about)).encode()).hexdigest()[:32]
        if self._last is None or version != self._last.version:
            self._last = Reading(look.data, state, about, version, about.figures, look.version)
        return self._last


def size(reading: Reading) -> int:
    """Returns about how many bytes a reading and what was made of it take."""
    return tables(reading.data) + reading.made.nbytes


def tables(data: StudyData) -> int:
    """Returns how many bytes a study's tables take."""
    return sum(getattr(data, table).nbytes for table in schema.TABLES)


def nobody() -> Mapping[str, Any]:
    """Says that no study waits: of a service without a cluster."""
    return {}
