"""One study as the service reads it: its tables, its state, its summary. Blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.service.context import Reading
from hpo.service.problems import Problem
from hpo.storage.place import place
from hpo.store import StudyData, schema, signs, summary
from hpo.store.growing import GrowingStudy, NoStudy
from hpo.store.summary import Summary

Waiting = Callable[[], Mapping[str, float]]  # since when a job that will play a study waits for its turn


@dataclass(frozen=True)
class Planned:
    """A study that a job is to play and the store does not have yet; data: without rows, None where nobody knows its plan."""

    summary: Summary
    data: StudyData | None


Plans = Callable[[Callable[[str], bool]], Mapping[str, Planned]]  # those among the wanted ones


class StudyLook:
    """Looks at a study again and again; returns the same Reading for as long as nothing of the study changes."""

    def __init__(self, uri: str, study: str, waiting: Waiting, plans: Plans) -> None:
        self._uri, self._study, self._waiting, self._plans = uri, study, waiting, plans
        self._growing = GrowingStudy(place(uri), study)
        self._last: Reading | None = None

    def __call__(self) -> Reading:
        """Returns the study as it is now. Raises Problem 404 where it is gone."""
        try:
            look = self._growing.look()
        except NoStudy as error:
            self._last = self._planned()
            if self._last is None:
                raise Problem(404, str(error)) from None
            return self._last
        where, waiting = place(self._uri), self._waiting().get(self._study)
        state = signs.read(where, self._study, data=look.data, waiting=waiting)
        about = summary.of(where, look.data, state)
        version = hashlib.sha256(repr((look.version, about)).encode()).hexdigest()[:32]
        if self._last is None or version != self._last.version:
            self._last = Reading(look.data, state, about, version, about.figures, look.version)
        return self._last

    def _planned(self) -> Reading | None:
        found = self._plans(lambda name: name == self._study).get(self._study)
        if found is None or found.data is None:
            return None
        version = hashlib.sha256(repr(found.summary).encode()).hexdigest()[:32]
        if self._last is not None and version == self._last.version:
            return self._last
        return Reading(found.data, found.summary.state, found.summary, version, contents=version)


def size(reading: Reading) -> int:
    """Returns about how many bytes a reading and what was made of it take."""
    return tables(reading.data) + reading.made.nbytes


def tables(data: StudyData) -> int:
    """Returns how many bytes a study's tables take."""
    return sum(getattr(data, table).nbytes for table in schema.TABLES)


def nobody() -> Mapping[str, Any]:
    """Says that no study waits: of a service without a cluster."""
    return {}


def nothing(wanted: Callable[[str], bool]) -> Mapping[str, Planned]:
    """Says that no study is planned: of a service without a cluster."""
    return {}
