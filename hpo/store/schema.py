"""The tables of a study: their columns, the keys of their rows, the meanings and units of numbers. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from hpo.store.errors import StoreError
from hpo.text import encodable, one_line

Rows = Sequence[Mapping[str, Any]]
Columns = Mapping[str, Sequence[Any]]

VERSION = 2
VERSION_KEY = b"hpo_schema"
DISTINCT_KEY = b"hpo_distinct"  # of a merged file: its rows are known to be distinct
REPLACED_KEY = b"hpo_replaced"  # of a merged file: the files that it replaces

UPGRADES: dict[int, Callable[[str, pa.Table], pa.Table]] = {
    1: lambda table, part: part,  # it had one exam for each trial; version 2 has one for each trial and epoch
}
"""version -> function that turns a table's file into one of the next version. New columns need nothing: they are null."""

_TEXT, _WHOLE, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_TYPES = {"float": _REAL, "int": _WHOLE, "str": _TEXT, "bool": _FLAG}

_COLUMNS: dict[str, dict[str, tuple[pa.DataType, str]]] = {
    "epochs": {
        "study": (_TEXT, "the study's name"),
        "trial": (_TEXT, "the trial: digest of task, configuration, seed and max_epochs"),
        "seed": (_WHOLE, "training seed"),
        "max_epochs": (_WHOLE, "epochs that the trial's rate schedule runs over"),
        "epoch": (_WHOLE, "1-based"),
        "seconds": (_REAL, "seconds that training and validating the epoch took"),
        "attempt": (_WHOLE, "0: the epoch counts; higher: trained again after a fault (wasted)"),
        "worker": (_TEXT, "host:pid that trained it"),
        "ended": (_FLAG, "whether early stopping ended the trial here"),
        "finished": (_REAL, "unix time in seconds at which the result arrived"),
    },
    "charges": {
        "study": (_TEXT, "the study's name"),
        "run": (_TEXT, "method/seed"),
        "method": (_TEXT, "the method's label"),
        "seed": (_WHOLE, "the run's seed"),
        "order": (_WHOLE, "place in the order of the run's events, from 0; a failure takes one without a charge"),
        "trial": (_TEXT, "the trial"),
        "number": (_WHOLE, "the trial's number in the run, from 0"),
        "epoch": (_WHOLE, "the epoch that was charged"),
        "at": (_REAL, "virtual time of the epoch's end, in ticks"),
        "value": (_REAL, "the study's metric after the epoch"),
        "seen": (
            _WHOLE,
            "events of the run that had passed when the epoch's segment was handed out; 0: no result decides",
        ),
        "cost": (_REAL, "what the epoch cost, as the trainable declares it, to the millionth; null where it does not"),
    },
    "failures": {
        "study": (_TEXT, "the study's name"),
        "trial": (_TEXT, "the trial"),
        "epoch": (_WHOLE, "epochs that it had trained"),
        "kind": (_TEXT, "invalid, diverged, memory, error or lost"),
        "reason": (_TEXT, "one sentence"),
    },
    "run_failures": {
        "study": (_TEXT, "the study's name"),
        "run": (_TEXT, "method/seed"),
        "method": (_TEXT, "the method's label"),
        "seed": (_WHOLE, "the run's seed"),
        "order": (_WHOLE, "place in the order of the run's events, which charges and failures share"),
        "trial": (_TEXT, "the trial that failed"),
        "number": (_WHOLE, "the trial's number in the run, from 0"),
        "epoch": (_WHOLE, "epochs of the trial that the run had been charged for"),
    },
    "trials": {
        "study": (_TEXT, "the study's name"),
        "run": (_TEXT, "method/seed"),
        "method": (_TEXT, "the method's label"),
        "seed": (_WHOLE, "the run's seed"),
        "number": (_WHOLE, "the trial's number in the run, from 0"),
        "trial": (_TEXT, "the trial"),
        "status": (_TEXT, "running, paused, stopped, completed or failed"),
        "epochs": (_WHOLE, "epochs charged"),
        "best_epoch": (_WHOLE, "the epoch of its best value"),
        "best_value": (_REAL, "its best value of the study's metric"),
        "kind": (_TEXT, "what kind of failure"),
        "reason": (_TEXT, "why it failed"),
    },
    "runs": {
        "study": (_TEXT, "the study's name"),
        "run": (_TEXT, "method/seed"),
        "method": (_TEXT, "the method's label"),
        "seed": (_WHOLE, "the run's seed"),
        "name": (_TEXT, "the method's registered name"),
        "options": (_TEXT, "the method's options as JSON"),
        "status": (_TEXT, "complete or partial"),
        "reason": (_TEXT, "why the budget was not used up, where it was not"),
        "budget_epochs": (_WHOLE, "the run's budget; null for one in cost"),
        "budget_cost": (_REAL, "the run's budget in cost; null for one in epochs"),
        "charged_epochs": (_WHOLE, "epochs charged"),
        "charged_cost": (_REAL, "what they cost, of a budget in cost; null for one in epochs"),
        "shared_epochs": (_WHOLE, "of these, charged to another run too and trained once"),
        "wasted_epochs": (_WHOLE, "epochs of the run's trials that were trained again after a fault"),
        "trials": (_WHOLE, "trials begun"),
        "failed_trials": (_WHOLE, "trials failed"),
        "incumbent_trial": (_TEXT, "the trial of the best value"),
        "incumbent_epoch": (_WHOLE, "its epoch"),
        "incumbent_value": (_REAL, "the best value of the study's metric"),
        "train_seconds": (_REAL, "seconds of training of the charged epochs"),
    },
    "exams": {
        "study": (_TEXT, "the study's name"),
        "trial": (_TEXT, "the winner's trial"),
        "exam": (_TEXT, "winner: as it won; retrain/k: trained anew with seed k"),
        "seed": (_WHOLE, "training seed"),
        "epoch": (_WHOLE, "epochs trained before the test"),
        "reason": (_TEXT, "why it failed; null where it did not. One that failed may be taken again"),
        "confusion": (_TEXT, "confusion matrix as JSON, rows are true classes"),
        "classes": (_TEXT, "names of the classes as JSON, in the order of the confusion matrix"),
    },
}

_UNITS = {
    "seconds": "s", "train_seconds": "s", "finished": "s since 1970-01-01 UTC", "at": "ticks",
    **dict.fromkeys(("epoch", "epochs", "max_epochs", "best_epoch", "incumbent_epoch"), "epochs"),
    **dict.fromkeys(("cost", "budget_cost", "charged_cost"), "what epoch_cost counts in"),
    **dict.fromkeys(("budget_epochs", "charged_epochs", "shared_epochs", "wasted_epochs"), "epochs"),
}  # fmt: skip

TABLES = tuple(_COLUMNS)
SNAPSHOTS = ("trials", "runs")
_KEYS = {
    "epochs": ("trial", "epoch", "attempt"),
    "charges": ("run", "order"),
    "failures": ("trial",),
    "run_failures": ("run", "order"),
    "exams": ("trial", "exam", "epoch", "reason"),
    "trials": ("run", "number"),
    "runs": ("run",),
}
_METRICS = ("epochs", "exams")


def columns(table: str) -> tuple[str, ...]:
    """Returns the columns that every file of the table has."""
    return tuple(_COLUMNS[table])


def to_table(table: str, rows: Rows | Columns, kinds: Mapping[str, str], distinct: bool = False) -> pa.Table:
    """Returns rows as Arrow, with a column for each metric that any row has. Raises StoreError if a row does not fit.

    Rows may come as columns, all of the table's. Text that UTF-8 cannot hold fits with escapes.
    """
    try:
        return _to_table(table, rows, kinds, distinct)
    except UnicodeEncodeError:
        return _to_table(table, [_escaped(row) for row in _rows(rows)], kinds, distinct)


def fitting(
    table: str, given: Rows | Columns, kinds: Mapping[str, str], distinct: bool = False
) -> tuple[pa.Table, list[tuple[Mapping[str, Any], str]]]:
    """Returns the rows that fit as Arrow, and the others with the reason."""
    try:
        return to_table(table, given, kinds, distinct), []
    except StoreError:
        rows = _rows(given)
        refused = [(row, why) for row in rows if (why := _misfit(table, row, kinds))]
        left_out = {id(row) for row, _ in refused}
        return to_table(table, [row for row in rows if id(row) not in left_out], kinds, distinct), refused


def _rows(given: Rows | Columns) -> Rows:
    if not isinstance(given, Mapping):
        return given
    return [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]


def _misfit(table: str, row: Mapping[str, Any], kinds: Mapping[str, str]) -> str:
    try:
        to_table(table, [row], kinds)
    except StoreError as error:
        return str(error)
    return ""


def _to_table(table: str, rows: Rows | Columns, kinds: Mapping[str, str], distinct: bool) -> pa.Table:
    fields = [_field(table, column) for column in _COLUMNS[table]]
    if table in ("epochs", "trials"):
        about = {"about": "hyperparameter of the configuration"}
        fields[3:3] = [pa.field(f"config_{n}", _TYPES[kind], metadata=about) for n, kind in kinds.items()]
    if table in _METRICS and not isinstance(rows, Mapping):
        known = {field.name for field in fields}
        alike = dict.fromkeys(map(tuple, rows))  # most rows have the same columns
        extra = dict.fromkeys(name for names in alike for name in names if name not in known)
        fields += [pa.field(name, _REAL, metadata={"about": "metric that the trainable reports"}) for name in extra]
    schema = pa.schema(fields, metadata=_metadata(distinct))
    try:
        if isinstance(rows, Mapping):
            return pa.Table.from_pydict(dict(rows), schema=schema)
        return pa.Table.from_pylist(list(rows), schema=schema)
    except UnicodeEncodeError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"a row of {table} must fit its columns, but: {one_line(error)}") from None


def _escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    return {encodable(name): encodable(value) if isinstance(value, str) else value for name, value in row.items()}


def _field(table: str, column: str) -> pa.Field:
    kind, about = _COLUMNS[table][column]
    return pa.field(column, kind, metadata={"about": about, **({"unit": _UNITS[column]} if column in _UNITS else {})})


def _metadata(distinct: bool, replaced: Sequence[str] = ()) -> dict[bytes, bytes]:
    found = {VERSION_KEY: str(VERSION).encode(), DISTINCT_KEY: json.dumps(distinct).encode()}
    return {**found, REPLACED_KEY: json.dumps(list(replaced)).encode()} if replaced else found


def keys(table: str) -> tuple[str, ...]:
    """Returns the columns by which two rows of the table are one."""
    return _KEYS[table]


def is_distinct(part: pa.Table) -> bool:
    """Tells whether a file's rows are known to be distinct."""
    return bool((part.schema.metadata or {}).get(DISTINCT_KEY) == b"true")


def as_distinct(table: pa.Table) -> pa.Table:
    """Returns a table whose rows are distinct, as one that says so."""
    return table.replace_schema_metadata(_metadata(True))


def replacing(table: pa.Table, files: Sequence[str]) -> pa.Table:
    """Returns the table as a merged file, which holds the rows of `files` and replaces them."""
    return table.replace_schema_metadata(_metadata(True, files))


def replaced(part: pa.Table | None) -> list[str]:
    """Returns the files that a merged file replaces."""
    found = {} if part is None else part.schema.metadata or {}
    return [str(name) for name in json.loads(found.get(REPLACED_KEY, b"[]"))]


def version(table: pa.Table) -> int | None:
    """Returns the schema version of a file, or None if it is not one of ours."""
    found = (table.schema.metadata or {}).get(VERSION_KEY, b"")
    return int(found) if found.isdigit() else None


def upgraded(name: str, part: pa.Table) -> pa.Table:
    """Returns a file of any version as one of this version; columns that are new since then are null."""
    metadata = part.schema.metadata
    for older in range(version(part) or VERSION, VERSION):
        part = UPGRADES[older](name, part)
    have = set(part.column_names)
    for column in (c for c in columns(name) if c not in have):
        part = part.append_column(_field(name, column), pa.nulls(part.num_rows, _COLUMNS[name][column][0]))
    return part.replace_schema_metadata(metadata)


def misfits(name: str, part: pa.Table) -> list[str]:
    """Returns the columns of a file whose types are not this version's, and those of metrics that hold no numbers."""
    own = _COLUMNS[name]
    metrics = [f for f in part.schema if f.name not in own and not f.name.startswith("config_") and name in _METRICS]
    texts = [f.name for f in metrics if not (pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
                                             or pa.types.is_null(f.type))]  # fmt: skip
    return [c for c, (kind, _) in own.items() if part.schema.field(c).type not in (kind, pa.null())] + texts
