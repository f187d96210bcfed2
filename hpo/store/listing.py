"""The summaries of all studies of a store, by two listings of it whatever their number."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from hpo.storage.entry import Entry
from hpo.storage.local import LocalPlace
from hpo.storage.place import Place, place
from hpo.store import layout, lease, notes, reader, seal, signs, summary
from hpo.store.errors import StoreError, Unreachable
from hpo.store.state import Signs, State, derived
from hpo.store.summary import Facts, Summary

AGAIN_SECONDS = 30.0  # after which a study without a summary is read again
OVER_SECONDS = 600.0  # after which one that is over is
NONE_SECONDS = 10.0  # after which a folder that held no study is looked into again

Found = TypeVar("Found")


@dataclass(frozen=True)
class _File:
    """A file of the summaries' folder as it was read, with its tag.

    It was written between the moments `before` and `since`, of which it was there at the second for the first time.
    """

    content: bytes | None
    kept: tuple[Facts, Signs] | None  # of a summary
    tag: str
    since: float
    before: float = -math.inf

    def silent(self, age: float, now: float) -> float:
        """Returns the seconds since it was written: by the place's clock, within what was seen of it by ours."""
        return min(max(age, now - self.since), now - self.before)


@dataclass(frozen=True)
class _Read:
    """A study without a summary of its own, as its tables tell; None: the folder holds no study."""

    found: tuple[Facts, Signs] | None
    age: float
    at: float

    def due(self, now: float) -> bool:
        """Whether it is time to read it again."""
        if self.found is None:
            return now - self.at > NONE_SECONDS
        return now - self.at > (OVER_SECONDS if self.found[1].over else AGAIN_SECONDS)


class Listing:
    """Lists a store's studies; keeps what has not changed since the last look, and watches the drivers' signs of life.

    A look is two listings of the store and one request for each summary that changed. A study without a summary, of an
    earlier version or in a bundle, is read from its tables, and again now and then.
    """

    def __init__(self, uri: str) -> None:
        self._place = place(uri)
        self._files: dict[str, _File] = {}
        self._read: dict[str, _Read] = {}
        self._looked = -math.inf
        self._lock = threading.Lock()

    def summaries(self, waiting: Mapping[str, float] | None = None) -> list[Summary]:
        """Returns all studies' summaries by name, archived ones too.

        waiting: since when a job that will play a study waits for its turn, by the study's name; the store need not hold
        the study yet. Raises StoreError, Unreachable where the store is away.
        """
        jobs = waiting or {}
        with self._lock:
            entries = {entry.name: entry for entry in self._place.entries(layout.SUMMARIES)}
            names = [name for name in self._place.folders() if reader.is_name(name)]
            self._look(entries, names)
            found = {name: self._summary(name, entries, jobs.get(name)) for name in names}
        found |= {name: _unbegun(name, since) for name, since in jobs.items() if found.get(name) is None}
        return [one for _, one in sorted(found.items()) if one is not None]

    def _look(self, entries: Mapping[str, Entry], names: Iterable[str]) -> None:
        """Reads the files that have changed, and the studies that have no summary."""
        before, self._looked = self._looked, time.monotonic()
        self._files = {name: known for name, known in self._files.items() if name in entries}
        wanted = {path for name in names for path in _paths(name)} & entries.keys()
        changed = [name for name in wanted if self._tag(name) != entries[name].tag]
        for name, content in self._together(self._place.read, changed):
            tag = entries[name].tag if content is not None else ""
            seen = before if name in self._files else -math.inf
            self._files[name] = _File(content, summary.from_bytes(content), tag, self._looked, seen)
        self._read = {name: known for name, known in self._read.items() if name in set(names)}
        now = self._looked
        bare = [name for name in names if self._kept(name) is None]
        due = [name for name in bare if name not in self._read or self._read[name].due(now)]
        self._read |= dict(self._together(self._from_tables, due))

    def _tag(self, name: str) -> str | None:
        known = self._files.get(name)
        return None if known is None else known.tag

    def _together(self, read: Callable[[str], Found], names: list[str]) -> list[tuple[str, Found]]:
        if len(names) < 2:
            return [(name, read(name)) for name in names]
        with ThreadPoolExecutor(self._place.streams) as pool:
            return list(zip(names, pool.map(read, names), strict=True))

    def _kept(self, study: str) -> tuple[Facts, Signs] | None:
        known = self._files.get(layout.summary(study))
        return None if known is None else known.kept

    def _from_tables(self, study: str) -> _Read:
        return _from_tables(self._place, study)

    def _summary(self, study: str, entries: Mapping[str, Entry], waiting: float | None) -> Summary | None:
        path, now = layout.summary(study), time.monotonic()
        if (kept := self._kept(study)) is not None:
            if isinstance(self._place, LocalPlace) and not (self._place.root / layout.head(study)).exists():
                return None
            age = self._files[path].silent(entries[path].age, now)
        elif (read := self._read[study]).found is not None:
            kept, age = read.found, read.age + now - read.at
        else:
            return None
        marks = {what: layout.beside_summary(study, what) for what in (notes.ARCHIVED, notes.VERDICT)}
        content = {what: known.content for what, name in marks.items() if (known := self._files.get(name))}
        state = signs.told(kept[1], age, waiting=waiting)
        tags = [f"{entries[name].tag}" for name in (path, *marks.values()) if name in entries]
        return _joined(kept[0], state, content, "-".join(tags))


def one(uri: str, study: str, waiting: float | None = None) -> Summary:
    """Returns a study's summary, read from its tables. Raises StoreError if there is no such study."""
    where = place(uri)
    read = _from_tables(where, study)
    if read.found is None:
        reader.read(uri, study)  # raises the sentence
        raise StoreError(f"the study {study} must stay in {uri} while it is read, but it came only now; try again")
    return noted(where, study, read.found[0], signs.told(read.found[1], read.age, waiting=waiting))


def noted(where: Place, study: str, facts: Facts, state: State) -> Summary:
    """Returns a study's summary from its facts and its state, with the notes beside it."""
    content = {what: where.read(layout.beside_summary(study, what)) for what in (notes.ARCHIVED, notes.VERDICT)}
    return _joined(facts, state, content, "")


def _unbegun(study: str, waiting: float) -> Summary:
    """Returns the summary of a study of which the store knows nothing yet."""
    state = derived(Signs(), silent=math.inf, there=None, waiting=waiting)
    return Summary.of(Facts(study=study), state, archived=False, verdict=None)


def _paths(study: str) -> tuple[str, ...]:
    """Returns the files that lists want of a study."""
    beside = [layout.beside_summary(study, what) for what in (notes.ARCHIVED, notes.VERDICT)]
    return (layout.summary(study), *beside)


def _joined(facts: Facts, state: State, content: Mapping[str, bytes | None], tag: str) -> Summary:
    told = notes.parsed(content.get(notes.VERDICT))
    holds = math.isclose(float(told.get("charged", math.nan)), facts.charged, rel_tol=1e-9)
    verdict = str(told["verdict"]) if told.get("verdict") and holds else None
    return Summary.of(facts, state, archived=content.get(notes.ARCHIVED) is not None, verdict=verdict, tag=tag)


def _from_tables(where: Place, study: str) -> _Read:
    """Reads a study; one that cannot be read has failed, with the sentence that says so."""
    now = time.monotonic()
    try:
        head = reader.head(where, study)
        if head is None:
            return _Read(None, 0.0, now)
        held = lease.latest(where, study)
        sealed = seal.made(where, study)
        data = reader.data(study, head, reader.tables(where, study))
        found = signs.of(where, study, data, held, sealed=sealed)
        if where.read(layout.head(study)) is None:  # deleted while it was read
            return _Read(None, 0.0, now)
        return _Read((summary.facts(data, found), found), held[1] if held else float("inf"), now)
    except Unreachable:
        raise
    except StoreError as error:
        if where.read(layout.head(study)) is None:  # deleted meanwhile
            return _Read(None, 0.0, now)
        broken = Signs(over=True, failure=str(error))
        return _Read((Facts(study=study), broken), float("inf"), now)
