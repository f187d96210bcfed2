"""The trials table: a row for each trial of each run, with its hyperparameters beside its result. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from hpo.store import StudyData
from hpo.store.columns import PREFIX
from hpo.study.space_file import entries

Kind = Literal["text", "whole", "real", "flag"]

OWN = (
    "run", "method", "seed", "number", "trial", "status", "epochs", "best_epoch", "best_value", "kind", "reason", "worker",
)  # fmt: skip
FEW = 50  # a text column with at most so many values lists them


@dataclass(frozen=True)
class Column:
    """A column: its name for users, what its cells are, and the hyperparameter's entry of the space, if it is one."""

    name: str
    kind: Kind
    label: str
    hyperparameter: bool = False
    log: bool = False


@dataclass(frozen=True)
class Trials:
    """The table with its columns; a number that is not finite is null."""

    study: str
    table: pa.Table
    columns: tuple[Column, ...]

    @cached_property
    def described(self) -> list[dict[str, Any]]:
        """Returns the columns as the API describes them, with the values or the ends that they have."""
        return [{**vars(column), **_extent(self.table[column.name], column)} for column in self.columns]


def trials(data: StudyData) -> Trials:
    """Returns the trials of all runs. `data`: as its charges give it."""
    stored, space = data.trials, entries(data.definition.get("space", {}))
    there = [name.removeprefix(PREFIX) for name in stored.schema.names if name.startswith(PREFIX)]
    names = [*(name for name in space if name in there), *(name for name in there if name not in space)]
    arrays = {name: stored[name] for name in OWN if name != "worker"} | {"worker": _workers(data)}
    columns = [Column(name, _kind(arrays[name].type), name.replace("_", " ")) for name in OWN]
    for name in names:
        column = stored[PREFIX + name]
        shown = PREFIX + name if name in OWN else name
        arrays[shown] = column
        log = bool(space.get(name, {}).get("log"))
        columns.append(Column(shown, _kind(column.type), name, hyperparameter=True, log=log))
    whole = pa.table({column.name: _clean(arrays[column.name], column.kind) for column in columns})
    return Trials(data.name, whole.combine_chunks(), tuple(columns))


def _workers(data: StudyData) -> pa.ChunkedArray:
    """Returns the worker of each trial's last epoch, null where none trained it."""
    empty = pa.chunked_array([pa.nulls(data.trials.num_rows, pa.string())])
    if not data.epochs.num_rows or not data.trials.num_rows:
        return empty
    last = data.epochs.group_by("trial", use_threads=False).aggregate([("worker", "last")])
    places = pc.index_in(data.trials["trial"], value_set=last["trial"].combine_chunks())
    return pc.take(last["worker_last"], places)


def _kind(stored: pa.DataType) -> Kind:
    if pa.types.is_boolean(stored):
        return "flag"
    if pa.types.is_integer(stored):
        return "whole"
    return "real" if pa.types.is_floating(stored) else "text"


def _clean(column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    if kind == "real":
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    return column.cast(pa.string()) if kind == "text" else column


def _extent(column: pa.ChunkedArray, about: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"values": None, "low": None, "high": None}
    if about.kind in ("whole", "real"):
        ends = pc.min_max(column).as_py()
        return found | {"low": ends["min"], "high": ends["max"]}
    values = pc.unique(column).drop_null()
    return found | {"values": sorted(values.to_pylist())} if len(values) <= FEW else found
