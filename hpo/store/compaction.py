"""One file a table at the end of a run, without a moment in which our readers see a row twice or not at all.

The new file names those that it replaces, and readers pass over these; then they are removed. A compaction that was
cut short is finished by the next writer.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo.storage.place import Place
from hpo.store import layout, reader, schema
from hpo.store.parquet import to_bytes


def compact(place: Place, study: str, generation: int) -> None:
    """Makes one file of each table's files; a table of which a file cannot be read stays as it is."""
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
    whole = schema.replacing(found.table, [name.rpartition("/")[2] for name in names])
    place.create(layout.whole(study, table, generation), to_bytes(whole))
    for name in names:
        place.delete(name)


def finish(place: Place, found: Mapping[str, reader.Rows]) -> None:
    """Removes what an earlier compaction replaced and had no time to remove."""
    for rows in found.values():
        for name in rows.replaced:
            place.delete(name)
