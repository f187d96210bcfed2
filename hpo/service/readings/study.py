"""One study as the service reads it: its tables, its state, its summary. Blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hpo.service.context import Reading
from hpo.service.problems import Problem
from hpo.storage.place import place
from hpo.store import StudyData, layout, lease, listing, schema, signs, summary
from hpo.store.growing import GrowingStudy, Look, NoStudy
from hpo.store.state import PLAYED, Signs, State
from hpo.store.summary import Facts, Summary

KEPT = ("owner", "priority", "began", "figures", "sign_of_life")  # facts that only the study's writer knows

Held = tuple[Mapping[str, Any], float] | None  # what a study's newest lease says, and its age


@dataclass(frozen=True)
class _Told:
    """What a look and a lease tell: they are told anew only where one of both has changed."""

    look: Look
    holder: Mapping[str, Any] | None
    signs: Signs
    facts: Facts
    nbytes: int


@dataclass(frozen=True)
class Planned:
    """A study that a job is to play and the store does not have yet; data: without rows, None where nobody knows its plan."""

    summary: Summary
    data: StudyData | None


class Jobs(Protocol):
    """What the cluster's jobs tell of studies that the store cannot tell. Every call blocks."""

    def waiting(self) -> Mapping[str, float]:
        """Returns the studies whose job waits for its turn, each with the time since when."""

    def planned(self, wanted: Callable[[str], bool]) -> Mapping[str, Planned]:
        """Returns the studies among the wanted ones that a job plays, or was to play lately."""

    def newest(self, study: str) -> Mapping[str, str] | None:
        """Returns id and page of the study's newest job; None where the cluster remembers none."""


class NoJobs:
    """The jobs of a service without a cluster."""

    def waiting(self) -> Mapping[str, float]:
        """Returns nothing."""
        return {}

    def planned(self, wanted: Callable[[str], bool]) -> Mapping[str, Planned]:
        """Returns nothing."""
        return {}

    def newest(self, study: str) -> None:
        """Returns None."""


class StudyLook:
    """Looks at a study again and again; returns the same Reading for as long as nothing of the study changes."""

    def __init__(self, uri: str, study: str, jobs: Jobs) -> None:
        self._place, self._study, self._jobs = place(uri), study, jobs
        self._growing = GrowingStudy(self._place, study)
        self._told: _Told | None = None
        self._last: Reading | None = None

    def __call__(self) -> Reading:
        """Returns the study as it is now. Raises Problem 404 where it is gone."""
        held = lease.latest(self._place, self._study)  # before the tables: who gives it back has delivered all before
        try:
            look = self._growing.look()
        except NoStudy as error:
            self._told, self._last = None, self._planned()
            if self._last is None:
                raise Problem(404, str(error)) from None
            return self._last
        told = self._tell(look, held)
        age = float("inf") if held is None else held[1]
        kept = summary.from_bytes(self._place.read(layout.summary(self._study)))
        state = signs.told(_as_listed(told.signs, kept), age, waiting=self._jobs.waiting().get(self._study))
        about = listing.noted(self._place, self._study, _kept(told, kept, state), state)
        job = self._jobs.newest(self._study)
        version = _version(look, about, job)
        if self._last is None or version != self._last.version:
            found = Reading(look.data, state, about, version, about.figures, look.version, told.nbytes, job)
            if self._last is not None:
                found.begin_as(self._last)
            self._last = found
        return self._last

    def _planned(self) -> Reading | None:
        found = self._jobs.planned(lambda name: name == self._study).get(self._study)
        if found is None or found.data is None:
            return None
        job = self._jobs.newest(self._study)
        version = hashlib.sha256(repr((found.summary, job)).encode()).hexdigest()[:32]
        if self._last is not None and version == self._last.version:
            return self._last
        return Reading(found.data, found.summary.state, found.summary, version, contents=version, job=job)

    def _tell(self, look: Look, held: Held) -> _Told:
        holder = None if held is None else held[0]
        told = self._told
        if told is None or told.look is not look or told.holder != holder:
            found = signs.of(self._place, self._study, look.data, held, sealed=look.sealed)
            told = self._told = _Told(look, holder, found, summary.facts(look.data, found), tables(look.data))
        return told


def _as_listed(found: Signs, kept: tuple[Facts, Signs] | None) -> Signs:
    """Returns the signs with the last one as the driver's own summary has it, as lists do, once that driver has ended."""
    if kept is None or not (found.released and kept[1].released) or found.began != kept[1].began:
        return found
    return replace(found, last=kept[1].last)


def _kept(told: _Told, found: tuple[Facts, Signs] | None, state: State) -> Facts:
    """Returns the study's facts with what its writer keeps beside the tables; figures only of a study that is played."""
    if found is None:
        return told.facts
    kept = {name: value for name in KEPT if (value := getattr(found[0], name)) is not None}
    if state.word not in PLAYED:
        kept.pop("figures", None)
    return replace(told.facts, **kept)


def _version(look: Look, about: Summary, job: Mapping[str, str] | None) -> str:
    """Returns what changes with the study. When a silent driver was heard last is measured anew at each look."""
    state = about.state
    told: Any = (state.word, state.command) if state.word == "no sign of life" else state
    return hashlib.sha256(repr((look.version, told, replace(about, state=None), job)).encode()).hexdigest()[:32]  # type: ignore[arg-type]


def size(reading: Reading) -> int:
    """Returns about how many bytes a reading and what was made of it take."""
    return reading.nbytes + reading.made.nbytes


def tables(data: StudyData) -> int:
    """Returns how many bytes a study's tables take."""
    return sum(getattr(data, table).nbytes for table in schema.TABLES)
