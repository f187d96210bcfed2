"""Tables of distinct rows: a row may be in two files, and counts once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.store import schema


def distinct(name: str, parts: Sequence[pa.Table], warnings: list[str]) -> pa.Table:
    """Joins parts, oldest first, into one table of distinct rows: of rows with equal keys the first one stays.

    Skips a part whose columns have other types than those before it, with a sentence in `warnings`.
    """
    if not parts:
        return schema.to_table(name, [], {})
    whole = _joined(name, parts, warnings)
    if len(parts) == 1 and schema.is_distinct(parts[0]):
        return whole
    keys = list(schema.keys(name))
    indexed = whole.select(keys).append_column("_row", pa.array(np.arange(whole.num_rows)))
    first = indexed.group_by(keys, use_threads=False).aggregate([("_row", "min")]).column("_row_min")
    if len(first) < whole.num_rows:
        whole = whole.take(pc.take(first, pc.sort_indices(first)))
    return schema.as_distinct(whole)


def appended(name: str, whole: pa.Table, part: pa.Table) -> pa.Table | None:
    """Returns a table of distinct rows with those of a part that comes after it, as `distinct` does for both.

    It compares only the rows whose keys may occur in both, so that a small part costs little. None if `distinct` is
    needed, since the columns' types differ.
    """
    warnings = list[str]()
    try:
        before = whole.filter(_perhaps_in(name, whole, part))
        both = distinct(name, [before, part], warnings)
        found = pa.concat_tables([whole, both.slice(before.num_rows)], promote_options="permissive")
    except pa.ArrowException:
        return None
    return None if warnings else schema.as_distinct(found)


def _perhaps_in(name: str, whole: pa.Table, part: pa.Table) -> pa.ChunkedArray:
    """Returns which rows of `whole` may have the key of a row of `part` [rows]: by the ranges of numbers, and by texts."""
    found = None
    for key in schema.keys(name):
        if pa.types.is_integer(part[key].type):
            ends = pc.min_max(part[key])
            alike = pc.and_(pc.greater_equal(whole[key], ends["min"]), pc.less_equal(whole[key], ends["max"]))
            alike = alike.fill_null(True)
        else:
            alike = pc.is_in(whole[key], value_set=part[key].combine_chunks().unique())
        found = alike if found is None else pc.and_(found, alike)
    return found


def _joined(name: str, parts: Sequence[pa.Table], warnings: list[str]) -> pa.Table:
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException:
        whole = schema.to_table(name, [], {})
    for part in parts:
        try:
            whole = pa.concat_tables([whole, part], promote_options="permissive")
        except pa.ArrowException as error:
            text = str(error).splitlines()[0][:200]
            warnings.append(f"{part.num_rows} rows of {name} have columns of other types and are skipped: {text}")
    return whole
