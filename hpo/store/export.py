"""The tables of a study in other formats."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from hpo.files import write_whole
from hpo.store import schema
from hpo.store.errors import StoreError
from hpo.store.parquet import to_bytes
from hpo.store.reader import read

FORMATS = ("csv", "parquet", "json")


def export(uri: str, study: str | None, format: str, out: Path) -> list[Path]:
    """Every table of a study as a file in the folder `out`; returns the paths. Formats: csv, parquet, json (lines)."""
    if format not in FORMATS:
        raise StoreError(
            f"an export's format must be one of {', '.join(FORMATS)}, but got {format!r}; name one of these"
        )
    data = read(uri, study)
    written = []
    for table in schema.TABLES:
        path = Path(out) / f"{table}.{format}"
        try:
            write_whole(path, _content(getattr(data, table), format))
        except OSError as error:
            raise StoreError(f"{path} must be writable, but: {error.strerror}; name another folder") from None
        written.append(path)
    return written


def _content(table: pa.Table, format: str) -> bytes:
    if format == "parquet":
        return to_bytes(table)
    if format == "json":
        return "".join(json.dumps(_plain(row), allow_nan=False) + "\n" for row in table.to_pylist()).encode()
    sink = io.BytesIO()
    pa_csv.write_csv(table, sink)
    return sink.getvalue()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """NaN and infinities are not JSON: as text, so that they are not mistaken for what was never measured."""
    return {name: str(value) if value != value or value in (INF, -INF) else value for name, value in row.items()}


INF = float("inf")
