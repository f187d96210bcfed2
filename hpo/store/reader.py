"""Reading a store: every table of a study as Arrow, with each row once and unreadable files left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hpo.storage.place import Place, place
from hpo.store import layout, schema
from hpo.store.distinct import distinct
from hpo.store.errors import StoreError
from hpo.store.parquet import Unreadable, from_bytes

LISTINGS = 20  # tries to list and read a table whose files a compaction is deleting


@dataclass(frozen=True)
class StudyData:
    """A study as a store holds it. `warnings` name the files that could not be read; `digest` is its head's, if it has one."""

    name: str
    definition: dict[str, Any]
    environment: dict[str, Any]
    epochs: pa.Table
    charges: pa.Table
    failures: pa.Table
    trials: pa.Table
    runs: pa.Table
    exams: pa.Table
    run_failures: pa.Table = field(default_factory=lambda: schema.to_table("run_failures", [], {}))
    warnings: tuple[str, ...] = ()
    digest: str = ""


@dataclass
class Rows:
    """A table's rows, the warnings about unreadable files, and the files that a merged file has replaced."""

    table: pa.Table
    warnings: list[str]
    replaced: list[str]


def studies(uri: str) -> list[str]:
    """Returns the names of the studies of a store, sorted."""
    where = place(uri)
    return [name for name in where.folders() if is_name(name) and layout.head(name) in where.names(name)]


def chosen(uri: str, names: Sequence[str]) -> list[str]:
    """Returns the studies that names mean: a suite's name means all of its studies, in the order of their names.

    Without a name, the studies of a store that holds one suite and nothing else; none where it holds something else.
    """
    where, known = place(uri), studies(uri)
    if set(names) <= set(known) and (names or len(known) < 2):
        return list(names)
    suites: dict[str | None, list[str]] = {}
    for name in known:
        suites.setdefault(((head(where, name) or {}).get("study") or {}).get("suite"), []).append(name)
    if not names:
        return known if len(suites) == 1 and None not in suites else []
    found = [study for name in names for study in ([name] if name in known else suites.get(name, [name]))]
    return list(dict.fromkeys(found))


def is_name(folder: str) -> bool:
    """Tells whether a folder may be a study's: others may lie beside."""
    try:
        return bool(layout.checked(folder))
    except StoreError:
        return False


def read(uri: str, study: str | None = None) -> StudyData:
    """Reads a study of the store, or its only one. Raises StoreError if there is no such study, or no single one."""
    where = place(uri)
    if study is None:
        known = studies(uri)
        if not known:
            raise StoreError(
                f"a store must hold a study, but there is none in {uri}; `hpo run STUDY --store {uri}` makes one"
            )
        if len(known) > 1:
            raise StoreError(f"--study must say which study of {uri}, since there are {len(known)}: {', '.join(known)}")
        study = known[0]
    found = head(where, study)
    if found is None:
        known = studies(uri)
        there = f"there are: {', '.join(known)}" if known else "there is none"
        raise StoreError(f"the study must be in the store, but {uri} has no {study!r}; {there}")
    return data(study, found, tables(where, study))


def head(where: Place, study: str) -> dict[str, Any] | None:
    """Reads the study's head: schema, digest, study, environment. Raises StoreError for a newer version or a broken file."""
    content = where.read(layout.head(study))
    if content is None:
        return None
    try:
        found = json.loads(content)
        version = int(found["schema"])
        found["digest"], found["study"]["study"]
    except (ValueError, KeyError, TypeError):
        raise StoreError(
            f"{where.uri}/{layout.head(study)} must be a study's head, but it cannot be read; restore it"
        ) from None
    if version > schema.VERSION:
        raise StoreError(
            f"{where.uri}/{study} must be of schema {schema.VERSION} or older, but a newer version wrote it with "
            f"schema {version}; upgrade hpo-arena"
        )
    return dict(found)


def tables(where: Place, study: str) -> dict[str, Rows]:
    """Reads all tables of a study, charges before epochs: against the order of writing, so that no charge lacks its epoch."""
    return {table: rows(where, study, table) for table in reversed(schema.TABLES)}


def data(study: str, head: dict[str, Any], found: dict[str, Rows]) -> StudyData:
    """Makes the study's head and tables one value."""
    warnings = tuple(text for table in schema.TABLES for text in found[table].warnings)
    arrow = {table: found[table].table for table in schema.TABLES}
    return StudyData(
        study, head["study"], head.get("environment", {}), **arrow, warnings=warnings, digest=str(head["digest"])
    )


def files(where: Place, study: str, table: str) -> list[str]:
    """Lists the files of a table in the order in which they were written."""
    return [name for name in where.names(layout.table(study, table)) if name.endswith(".parquet")]


def rows(where: Place, study: str, table: str) -> Rows:
    """Reads a table, every row once. Raises StoreError if its files keep changing."""
    for _ in range(LISTINGS):
        found = _rows(where, study, table)
        if found is not None:
            return found
    raise StoreError(
        f"{where.uri}/{study}/{table} must hold still while it is read, but its files come and go; try again"
    )


def _rows(where: Place, study: str, table: str) -> Rows | None:
    """Lists and reads a table; None if a compaction deletes files meanwhile."""
    names, warnings = files(where, study, table), list[str]()
    merged = contents(where, [name for name in names if layout.is_whole(name)])
    parts = {name: part(where, name, content, warnings) for name, content in merged.items()}
    gone = {f"{layout.table(study, table)}/{file}" for one in parts.values() for file in schema.replaced(one)}
    others = contents(where, [name for name in names if name not in merged and name not in gone])
    if None in merged.values() or None in others.values():
        return None
    parts |= {name: part(where, name, content, warnings) for name, content in others.items()}
    kept = [one for name in names if name not in gone and (one := parts[name]) is not None]
    return Rows(distinct(table, kept, warnings), warnings, [name for name in names if name in gone])


def contents(where: Place, names: Sequence[str]) -> dict[str, bytes | None]:
    """Reads files, several at a time; None for one that has been deleted."""
    if len(names) < 2:
        return {name: where.read(name) for name in names}
    with ThreadPoolExecutor(where.streams) as pool:
        return dict(zip(names, pool.map(where.read, names), strict=True))


def part(where: Place, name: str, content: bytes | None, warnings: list[str]) -> pa.Table | None:
    """Parses a table's file, as this version would have written it; None, with a sentence in `warnings`, if it cannot be read."""
    try:
        found = from_bytes(content or b"")
    except Unreadable as error:
        warnings.append(f"{where.uri}/{name} must be a Parquet file, but cannot be read and is skipped: {error}")
        return None
    version = schema.version(found)
    if version is None or version > schema.VERSION:
        whose = "was not written by hpo-arena" if version is None else f"has the newer schema {version}"
        warnings.append(f"{where.uri}/{name} {whose} and is skipped")
        return None
    table = layout.table_of(name)
    whole = schema.upgraded(table, found)
    if wrong := schema.misfits(table, whole):
        warnings.append(f"{where.uri}/{name} has columns of other types and is skipped: {', '.join(wrong)}")
        return None
    return whole
