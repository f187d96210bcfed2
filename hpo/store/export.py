"""The tables of a study in other formats."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from hpo.files import write_whole
from hpo.store import schema
from hpo.store.errors import StoreError
from hpo.store.parquet import to_bytes
from hpo.store.reader import StudyData, read

FORMATS = ("csv", "parquet", "json")


def export(uri: str, study: str | None, format: str, out: Path) -> list[Path]:
    """Writes every table of a stored study to a folder; see `export_data`."""
    return export_data(read(uri, study), format, out)


def export_data(data: StudyData, format: str, out: Path) -> list[Path]:
    """Writes every table of a study to the folder `out` as csv, parquet or json (one object a line). Returns the paths."""
    if format not in FORMATS:
        raise StoreError(
            f"an export's format must be one of {', '.join(FORMATS)}, but got {format!r}; name one of these"
        )
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
    """Returns a row with NaN and infinities, which JSON does not have, as text; null stays for what was not measured."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
