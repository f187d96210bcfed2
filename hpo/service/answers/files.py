"""Tables as files, and where a trial's checkpoint lies. Reads the store's listing alone."""

from __future__ import annotations

import io
from typing import Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

from hpo.storage.place import place
from hpo.store import layout
from hpo.store.parquet import to_bytes

Format = Literal["parquet", "csv", "arrow"]
MEDIA = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


def written(table: pa.Table, format: str) -> bytes:
    """Returns the table as a file; arrow: an IPC stream."""
    if format == "parquet":
        return to_bytes(table)
    sink = io.BytesIO()
    if format == "csv":
        pa_csv.write_csv(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return sink.getvalue()


def checkpoint(uri: str, study: str, trial: str) -> str | None:
    """Returns where the trial's newest checkpoint lies, below the store; None for none. Blocks."""
    names = place(uri).names(layout.checkpoints(study))
    mine = [name for name in names if name.rpartition("/")[2].startswith(f"{trial}-")]
    return mine[-1] if mine else None
