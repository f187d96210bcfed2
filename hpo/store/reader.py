"""Reading a store: every table of a study as Arrow, each row once, whatever can be read."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpo.store import schema
from hpo.store.errors import StoreError
from hpo.store.places import Place, place


@dataclass(frozen=True)
class StudyData:
    """A study as a store holds it. `warnings` name what could not be read."""

    name: str
    definition: dict[str, Any]
    environment: dict[str, Any]
    epochs: pa.Table
    charges: pa.Table
    failures: pa.Table
    trials: pa.Table
    runs: pa.Table
    exams: pa.Table
    warnings: tuple[str, ...] = ()


def studies(uri: str) -> list[str]:
    """The names of the studies of a store."""
    names = place(uri).names("")
    return sorted({name.split("/")[0] for name in names if name.count("/") == 1 and name.endswith("/study.json")})


def read(uri: str, study: str | None = None) -> StudyData:
    """A study of the store; without a name, its only one. Raises StoreError where there is none, or are several."""
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
    head = definition(where, study)
    if head is None:
        known = studies(uri)
        there = f"there are: {', '.join(known)}" if known else "there is none"
        raise StoreError(f"the study must be in the store, but {uri} has no {study!r}; {there}")
    return data(where, study, head)


def definition(where: Place, study: str) -> dict[str, Any] | None:
    """The study's head: schema, digest, study, environment. Raises StoreError for a newer version or a broken file."""
    content = where.read(f"{study}/study.json")
    if content is None:
        return None
    try:
        head = json.loads(content)
        version = int(head["schema"])
    except (ValueError, KeyError, TypeError):
        raise StoreError(
            f"{where.uri}/{study}/study.json must be a study's head, but it cannot be read; restore it"
        ) from None
    if version > schema.VERSION:
        raise StoreError(
            f"{where.uri}/{study} was written by a newer version (schema {version}), and this one reads up to "
            f"{schema.VERSION}; upgrade hpo-arena"
        )
    return dict(head)


def data(where: Place, study: str, head: dict[str, Any]) -> StudyData:
    """All tables of a study."""
    warnings: list[str] = []
    tables = {table: _table(where, study, table, warnings) for table in schema.TABLES}
    return StudyData(study, head["study"], head.get("environment", {}), **tables, warnings=tuple(warnings))


def parts(where: Place, study: str, table: str) -> list[str]:
    """The files of a table."""
    return [name for name in where.names(f"{study}/{table}") if name.endswith(".parquet")]


def _table(where: Place, study: str, table: str, warnings: list[str]) -> pa.Table:
    for _ in range(5):
        found, missing = [], False
        for name in parts(where, study, table):
            content = where.read(name)
            if content is None:
                missing = True  # compaction removed it between the listing and now: list again
                break
            part = _part(f"{where.uri}/{name}", content, warnings)
            if part is not None:
                found.append(part)
        if not missing:
            break
    return schema.distinct(table, found)


def _part(path: str, content: bytes, warnings: list[str]) -> pa.Table | None:
    try:
        part = pq.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, OSError, pa.ArrowNotImplementedError) as error:
        warnings.append(f"{path} must be a Parquet file, but it cannot be read and is passed over: {_first(error)}")
        return None
    version = schema.ours(part)
    if version is None or version > schema.VERSION:
        whose = "was not written by hpo-arena" if version is None else f"has the newer schema {version}"
        warnings.append(f"{path} {whose} and is passed over")
        return None
    return part


def _first(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200]
