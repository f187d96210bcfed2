"""Reading a study again and again while it grows: each look parses only the files that are new since the last one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from hpo.storage.entry import Entry
from hpo.storage.place import Place
from hpo.store import layout, reader, schema
from hpo.store.distinct import appended, distinct
from hpo.store.errors import StoreError
from hpo.store.reader import Rows, StudyData

CHUNKS = 64  # of a table's columns, from which on they are joined: each chunk costs every reader a little

Tags = tuple[tuple[str, str, int], ...]  # name, tag and size of each file


class NoStudy(StoreError):
    """A study that the store does not hold (any more)."""


@dataclass(frozen=True)
class Look:
    """A study as a look found it. `version` changes with its head, its seal and any file of its tables."""

    data: StudyData
    version: str
    sealed: bool


class GrowingStudy:
    """A study's tables in memory, which `look` brings up to date. One thread at a time.

    Tables' files are immutable, so that a new file is all that has to be read; whatever else happens (a compaction, a
    snapshot that is replaced, a study that takes another's place) has the table read anew. A sealed study is not read
    again for as long as its seal is the same: a writer breaks the seal before it writes.
    """

    def __init__(self, where: Place, study: str) -> None:
        self._where, self._study = where, layout.checked(study)
        self._tables = {table: _GrowingTable(where, study, table) for table in schema.TABLES}
        self._head: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._last: Look | None = None

    def look(self) -> Look:
        """Returns the study as it is now, the same value where nothing changed. Raises NoStudy if it is not there."""
        root = {entry.name: _tag(entry) for entry in self._where.entries(self._study)}
        tags = {name: root[name] for name in (layout.head(self._study), layout.seal(self._study)) if name in root}
        if self._last is not None and tags == self._tags and layout.seal(self._study) in tags:
            return self._last
        self._read_head(tags)
        # Charges before epochs, as every reader does: against the order of writing, so that no charge lacks its epoch.
        changed = [self._tables[table].look() for table in reversed(schema.TABLES)]
        if self._last is None or any(changed) or tags != self._tags:
            self._last = Look(self._data(), self._version(tags), layout.seal(self._study) in tags)
        self._tags = tags
        return self._last

    def _read_head(self, tags: dict[str, str]) -> None:
        name = layout.head(self._study)
        if name in tags and tags[name] == self._tags.get(name):
            return
        found = reader.head(self._where, self._study) if name in tags else None
        if found is None:
            self._last = None
            raise NoStudy(f"the study must be in the store, but {self._where.uri} has no {self._study!r}")
        self._head = found

    def _data(self) -> StudyData:
        return reader.data(self._study, self._head, {name: table.rows for name, table in self._tables.items()})

    def _version(self, tags: dict[str, str]) -> str:
        everything = [sorted(tags.items()), [(name, self._tables[name].tags) for name in schema.TABLES]]
        return hashlib.sha256(repr(everything).encode()).hexdigest()[:32]


class _GrowingTable:
    """A table's rows and the files that they are of."""

    def __init__(self, where: Place, study: str, table: str) -> None:
        self._where, self._study, self._table = where, study, table
        self.tags: Tags | None = None
        self.rows = Rows(schema.to_table(table, [], {}), [], [])

    def look(self) -> bool:
        """Brings the rows up to date; tells whether any file changed."""
        entries = self._where.entries(layout.table(self._study, self._table))
        tags = tuple((e.name, e.tag, e.size) for e in entries if e.name.endswith(".parquet"))
        if tags == self.tags:
            return False
        known = self.tags or ()
        grown = self._grown([name for name, _, _ in tags[len(known) :]]) if tags[: len(known)] == known else None
        self.rows = grown or reader.rows(self._where, self._study, self._table)
        self.tags = tags
        return True

    def _grown(self, new: list[str]) -> Rows | None:
        """Returns the rows with those of the new files, which come after all others; None if the table must be read anew."""
        whole, warnings = self.rows.table, list(self.rows.warnings)
        if not whole.num_rows or self._table in schema.SNAPSHOTS or any(map(layout.is_whole, new)):
            return None
        found = reader.contents(self._where, new)
        if None in found.values():
            return None
        parts = [part for name in new if (part := reader.part(self._where, name, found[name], warnings)) is not None]
        if parts:
            more = appended(self._table, whole, distinct(self._table, parts, warnings))
            if more is None:
                return None
            whole = more if more.column(0).num_chunks < CHUNKS else more.combine_chunks()
        return Rows(whole, warnings, self.rows.replaced)


def _tag(entry: Entry) -> str:
    return f"{entry.tag}/{entry.size}"
