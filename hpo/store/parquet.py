"""Arrow tables as the bytes of Parquet files, and back. Pure."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 131_072  # of a row group: readers with a filter pass over groups


class Unreadable(Exception):
    """Bytes that are not a whole Parquet file."""


def to_bytes(table: pa.Table) -> bytes:
    """With a checksum on every page, so that a damaged file is noticed."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROWS, write_page_checksum=True)
    return sink.getvalue()


def _owned(content: bytes) -> pa.Buffer:
    """A copy in Arrow's own memory: one of its threads may let go of the bytes when the process is already ending, and
    would abort it if they were Python's."""
    buffer = pa.allocate_buffer(len(content))
    pa.FixedSizeBufferWriter(buffer).write(content)
    return buffer


def from_bytes(content: bytes) -> pa.Table:
    """Raises Unreadable for what is torn, damaged or something else."""
    try:
        table = pq.read_table(pa.BufferReader(_owned(content)), page_checksum_verification=True)
        table.validate()
        _ = table.column_names  # damaged ones cannot be decoded
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Unreadable(lines[0][:200]) from None
