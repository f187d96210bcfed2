"""The tables of a study: their columns, what identifies a row, what the numbers mean. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpo.store.errors import StoreError

VERSION = 1
VERSION_KEY = b"hpo_schema"
DISTINCT_KEY = b"hpo_distinct"  # a compacted file: its rows are known to be distinct

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
    },
    "failures": {
        "study": (_TEXT, "the study's name"),
        "trial": (_TEXT, "the trial"),
        "epoch": (_WHOLE, "epochs that it had trained"),
        "kind": (_TEXT, "invalid, diverged, memory, error or lost"),
        "reason": (_TEXT, "one sentence"),
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
        "budget_epochs": (_WHOLE, "the run's budget"),
        "charged_epochs": (_WHOLE, "epochs charged"),
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
        "confusion": (_TEXT, "confusion matrix as JSON, rows are true classes"),
    },
}

TABLES = tuple(_COLUMNS)
SNAPSHOTS = ("trials", "runs")
_KEYS = {
    "epochs": ("trial", "epoch", "attempt"),
    "charges": ("run", "order"),
    "failures": ("trial",),
    "exams": ("trial", "exam"),
    "trials": ("run", "number"),
    "runs": ("run",),
}
_METRICS = ("epochs", "exams")


def columns(table: str) -> tuple[str, ...]:
    """The columns that every file of the table has."""
    return tuple(_COLUMNS[table])


def check_metrics(table: str, names: Iterable[str]) -> None:
    """Raises StoreError for a metric that is named like a column of the table."""
    for name in names:
        if name in _COLUMNS[table] or name.startswith("config_"):
            raise StoreError(f"a metric must not be named like a column of the store, but got {name!r}; rename it")


def to_table(
    table: str, rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], distinct: bool = False
) -> pa.Table:
    """Rows as Arrow; metric columns appear as the rows bring them."""
    fields = [pa.field(n, kind, metadata={"about": about}) for n, (kind, about) in _COLUMNS[table].items()]
    if table in ("epochs", "trials"):
        about = {"about": "hyperparameter of the configuration"}
        fields[3:3] = [pa.field(f"config_{n}", _TYPES[kind], metadata=about) for n, kind in kinds.items()]
    if table in _METRICS:
        known = {field.name for field in fields}
        extra = dict.fromkeys(name for row in rows for name in row if name not in known)
        fields += [pa.field(name, _REAL, metadata={"about": "metric that the trainable reports"}) for name in extra]
    schema = pa.schema(fields, metadata=_metadata(distinct))
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def _metadata(distinct: bool) -> dict[bytes, bytes]:
    return {VERSION_KEY: str(VERSION).encode(), DISTINCT_KEY: json.dumps(distinct).encode()}


def ours(table: pa.Table) -> int | None:
    """The schema version of a file, None where it is not one of ours."""
    version = (table.schema.metadata or {}).get(VERSION_KEY)
    return int(version) if version is not None else None


def distinct(name: str, parts: Sequence[pa.Table]) -> pa.Table:
    """All parts as one table in which every row counts once: the first one written stays."""
    if not parts:
        return to_table(name, [], {})
    whole = pa.concat_tables(parts, promote_options="permissive")
    if len(parts) == 1 and (parts[0].schema.metadata or {}).get(DISTINCT_KEY) == b"true":
        return whole
    keys = list(_KEYS[name])
    indexed = whole.select(keys).append_column("_row", pa.array(range(whole.num_rows), _WHOLE))
    first = indexed.group_by(keys, use_threads=False).aggregate([("_row", "min")]).column("_row_min")
    if len(first) < whole.num_rows:
        whole = whole.take(pc.take(first, pc.sort_indices(first)))
    return whole.replace_schema_metadata(_metadata(True))
