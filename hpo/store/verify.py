"""Whether a store adds up, and its tables in other formats."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hpo.files import write_whole
from hpo.store import schema
from hpo.store.errors import StoreError
from hpo.store.reader import StudyData, read, studies

FORMATS = ("csv", "parquet", "json")


def verify(uri: str, study: str | None = None) -> list[str]:
    """What does not add up, a sentence each: ledgers, orders and incumbents are derived again from the epochs."""
    names = [study] if study is not None else studies(uri)
    if not names:
        read(uri)  # raises the sentence for an empty store
    return [f"{name}: {problem}" for name in names for problem in check(read(uri, name))]


def check(data: StudyData) -> list[str]:
    """The problems of one study."""
    problems = list(data.warnings)
    trained = _cells(data.epochs.filter(pc.equal(data.epochs["attempt"], 0)) if data.epochs.num_rows else data.epochs)
    metric = data.definition.get("metric", "")
    larger = data.definition.get("mode", "max") == "max"
    charge = int((data.definition.get("data") or {}).get("folds") or 1)
    rows = {row["run"]: row for row in data.runs.to_pylist()}
    for run in sorted(set(data.charges["run"].to_pylist()) | set(rows)):
        charges = data.charges.filter(pc.equal(data.charges["run"], run))
        problems += [f"run {run}: {text}" for text in _ledger(charges, trained, rows.get(run), charge, larger)]
    problems += _values(data, metric)
    return problems


def _cells(table: pa.Table) -> set[tuple[str, int]]:
    return set(zip(table["trial"].to_pylist(), table["epoch"].to_pylist(), strict=True))


def _ledger(
    charges: pa.Table, trained: set[tuple[str, int]], row: dict[str, object] | None, charge: int, larger: bool
) -> list[str]:
    cells = list(zip(charges["trial"].to_pylist(), charges["epoch"].to_pylist(), strict=True))
    problems = [f"epoch {e} of trial {t} was charged and never trained" for t, e in cells if (t, e) not in trained][:3]
    if len(set(cells)) < len(cells):
        problems.append(f"{len(cells) - len(set(cells))} epochs were charged twice")
    if row is None:
        return [*problems, "it has charges and no row in the runs table"]
    failed = int(str(row["failed_trials"]))
    orders = sorted(charges["order"].to_pylist())
    if orders and orders[-1] + 1 > len(orders) + failed:
        problems.append(f"its orders run to {orders[-1]}, but it has {len(orders)} charges and {failed} failures")
    if len(cells) * charge != row["charged_epochs"]:
        problems.append(f"{len(cells) * charge} epochs were charged, but its row says {row['charged_epochs']}")
    if len(cells) * charge > int(str(row["budget_epochs"])):
        problems.append(f"{len(cells) * charge} epochs were charged, more than its budget of {row['budget_epochs']}")
    best = pc.max(charges["value"]) if larger else pc.min(charges["value"])
    finite = [v for v in charges["value"].to_pylist() if v is not None and v == v]
    if finite and row["incumbent_value"] != (max(finite) if larger else min(finite)):
        problems.append(f"its best charged value is {best.as_py()}, but its row says {row['incumbent_value']}")
    return problems


def _values(data: StudyData, metric: str) -> list[str]:
    """Whether charges carry the values of the epochs they charge for."""
    if metric not in data.epochs.column_names or not data.charges.num_rows:
        return []
    table = data.epochs.filter(pc.equal(data.epochs["attempt"], 0)).select(["trial", "epoch", metric])
    joined = data.charges.select(["trial", "epoch", "value"]).join(table, ["trial", "epoch"], join_type="inner")
    differ = pc.sum(pc.not_equal(joined["value"], joined[metric])).as_py() or 0
    nans = pc.sum(pc.and_(pc.is_nan(joined["value"]), pc.is_nan(joined[metric]))).as_py() or 0
    return [f"{differ - nans} charges carry another value than their epoch"] if differ > nans else []


def export(uri: str, study: str | None, format: str, out: Path) -> list[Path]:
    """Every table of a study as a file in the folder `out`; returns the paths. Formats: csv, parquet, json (lines)."""
    if format not in FORMATS:
        raise StoreError(f"an export's format must be one of {', '.join(FORMATS)}, but got {format!r}")
    data = read(uri, study)
    written = []
    for table in schema.TABLES:
        path = out / f"{table}.{format}"
        write_whole(path, _content(getattr(data, table), format))
        written.append(path)
    return written


def _content(table: pa.Table, format: str) -> bytes:
    sink = io.BytesIO()
    if format == "csv":
        pa_csv.write_csv(table, sink)
    elif format == "parquet":
        pq.write_table(table, sink)
    else:
        import json

        sink.write("".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode())
    return sink.getvalue()
