"""Stored tables as values again: configurations with their types, columns as arrays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hpo.store import StudyData

PREFIX = "config_"


def config(row: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the configuration in a row of `trials` or `epochs`; choices stored as text regain their type."""
    found = {name: row.get(PREFIX + name) for name in space}
    found |= {key.removeprefix(PREFIX): value for key, value in row.items() if key.startswith(PREFIX)}
    return {name: _typed(value, space.get(name, {})) for name, value in found.items() if value is not None}


def _typed(value: Any, domain: Mapping[str, Any]) -> Any:
    options = domain.get("values") or ()
    equal = [option for option in options if type(option) is type(value) and option == value]
    close = [option for option in options if option == value and isinstance(option, bool) == isinstance(value, bool)]
    alike = [option for option in options if str(option) == str(value)]
    return (equal or close or alike or [value])[0]


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Returns a column as floats, with NaN for null; NaN throughout if the table has no such column."""
    if name not in table.schema.names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)


def whole(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Returns a column without nulls as whole numbers."""
    return np.asarray(table.column(name).to_numpy(), dtype=np.int64)


def codes(column: pa.ChunkedArray, values: Sequence[str]) -> NDArray[np.int64]:
    """Returns the place of each entry in `values`, or -1 for one that is not among them."""
    places = pc.index_in(column, value_set=pa.array(values, type=column.type))
    return np.asarray(places.fill_null(-1).to_numpy(), dtype=np.int64)


def exams(data: StudyData, winners: Iterable[tuple[str, int]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Returns the exams of each winner (trial, epoch) that did not fail, with `winner` before retrainings.

    A retraining counts for whatever epoch won if the study fixes its length (`final: {epochs: N}`).
    """
    fixed = (data.definition.get("final") or {}).get("epochs")
    taken: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for row in sorted(data.exams.to_pylist(), key=lambda row: (row["exam"] != "winner", row["exam"])):
        if row.get("reason") is not None:
            continue
        again = row["exam"] != "winner" and fixed is not None
        if not again or row["epoch"] == fixed:
            taken.setdefault((row["trial"], None if again else row["epoch"]), []).append(row)
    return {w: taken.get(w, []) + taken.get((w[0], None), []) for w in winners}


def labels(definition: Mapping[str, Any], runs: pa.Table) -> list[str]:
    """Returns the methods' labels in the study's order, then any that only the store knows."""
    named = [str(method["label"]) for method in definition.get("methods", ())]
    stored = runs.column("method").to_pylist() if runs.num_rows else []
    return list(dict.fromkeys([*named, *stored]))
