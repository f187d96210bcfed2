"""Merging the files of a table at the end of a run, with readers seeing every row exactly once all the while.

The merged file names the files that it replaces, so that readers skip them until they are deleted. The next writer
finishes a compaction that was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo.storage.place import Place
from hpo.store import layout, reader, schema
from hpo.store.parquet import to_bytes


def compact(place: Place, study: str, generation: int) -> None:
    """Merges the files of each table; a table with an unreadable file stays as it is."""
    for table in schema.TABLES:
        if table not in schema.SNAPSHOTS:
            _compact(place, study, table, generation)


def _compact(place: Place, study: str, table: str, generation: int) -> None:
    names = reader.files(place, study, table)
    if len(names) < 2:
        return
    found = reader.rows(place, study, table)
    if found.warnings:
        return
    whole = layout.whole(study, table, generation)
    content = to_bytes(schema.replacing(found.table, [name.rpartition("/")[2] for name in names]))
    # A request that was repeated because its answer got lost finds its own file; another file of the name stays as it is.
    if place.create(whole, content) or place.read(whole) == content:
        for name in names:
            place.delete(name)


def finish(place: Place, found: Mapping[str, reader.Rows]) -> None:
    """Deletes the files that an interrupted compaction had replaced but not deleted."""
    for rows in found.values():
        for name in rows.replaced:
            place.delete(name)
