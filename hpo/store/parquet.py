"""Arrow tables as the bytes of Parquet files, and back. Pure."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from hpo.text import one_line

ROWS = 131_072  # in a row group: readers with a filter skip groups


class Unreadable(Exception):
    """Bytes that are not a whole Parquet file."""


def to_bytes(table: pa.Table) -> bytes:
    """Returns a Parquet file with a checksum on every page, by which damage is noticed."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROWS, write_page_checksum=True)
    return sink.getvalue()


def _owned(content: bytes) -> pa.Buffer:
    """Copies bytes into Arrow's own memory.

    One of Arrow's threads may release them while the process is ending, which would abort it if they were Python's.
    """
    buffer = pa.allocate_buffer(len(content))
    pa.FixedSizeBufferWriter(buffer).write(content)
    return buffer


def from_bytes(content: bytes) -> pa.Table:
    """Returns the table in a Parquet file. Raises Unreadable for bytes that are torn, damaged or no Parquet file."""
    try:
        table = pq.read_table(pa.BufferReader(_owned(content)), page_checksum_verification=True)
        table.validate()
        _ = table.column_names  # damaged ones cannot be decoded
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable(one_line(error)) from None
