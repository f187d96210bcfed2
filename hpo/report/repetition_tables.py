"""How far two runs of one study differ, as tables, and rendered in every format. Pure."""

from __future__ import annotations

import json

from hpo.report.tables import Column, Table, render_tables
from hpo.results.repetition import Repetition, Spread


def render_repetition(found: Repetition, format: str, *, width: int | None = None) -> str:
    """Renders the differences in one of FORMATS; CSV holds those of the runs only."""
    if format == "json":
        return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    tables = [runs_table(found)] if format == "csv" else repetition_tables(found)
    return render_tables(tables, format, lead=found.summary, width=width)


def repetition_tables(found: Repetition) -> list[Table]:
    """Returns the tables of methods, of the final exam where there is one, of verdicts that differ, and of runs."""
    tables = [methods_table(found, exam=False)]
    if any(method.test.pairs for method in found.methods):
        tables.append(methods_table(found, exam=True))
    if any(not verdict.same for verdict in found.verdicts):
        tables.append(verdicts_table(found))
    return [*tables, runs_table(found)]


def methods_table(found: Repetition, *, exam: bool) -> Table:
    """Returns one row a method: its paired differences in the validation metric, or with `exam` in the final exam's."""
    metric = found.test_metric if exam else found.metric
    columns = (
        Column("method", "method", "text"), Column("pairs", "pairs", "count"), Column("equal", "equal", "count"),
        Column("mean difference", "difference"), Column("95 % interval", "ci95", "interval"),
        Column("largest", "largest"),
    )  # fmt: skip
    rows = tuple((method.method, *_cells(method.test if exam else method.value)) for method in found.methods)
    note = "" if exam else "Differences are paired by seed: the second minus the first. Equal: the same number exactly."
    return Table(f"{found.study}: {metric} of each method in both", columns, rows, note)


def _cells(spread: Spread) -> tuple[int, int, float | None, tuple[float, float] | None, float | None]:
    return spread.pairs, spread.equal, spread.mean, spread.ci95, spread.largest


def verdicts_table(found: Repetition) -> Table:
    """Returns one row for each pair of methods on which the verdicts differ."""
    columns = tuple(Column(title, title, "text") for title in ("a", "b", "on", "first", "second"))
    rows = tuple(
        (v.a, v.b, found.test_metric if v.exam else found.metric, v.before, v.after)
        for v in found.verdicts
        if not v.same
    )
    return Table("Verdicts that differ", columns, rows)


def runs_table(found: Repetition) -> Table:
    """Returns one row a run: its values in both, the difference, and whether the same epoch of the same trial won."""
    columns: tuple[Column, ...] = (
        Column("run", "run", "text"), Column(f"first {found.metric}", "before"),
        Column(f"second {found.metric}", "after"), Column("difference", "difference"),
        Column("same winner", "same_winner", "text"), Column(f"first {found.test_metric}", "test_before"),
        Column(f"second {found.test_metric}", "test_after"), Column("difference", "test_difference"),
    )  # fmt: skip
    tested = any(run.test_before is not None or run.test_after is not None for run in found.runs)
    rows = tuple(
        (f"{run.method}/{run.seed}", run.before, run.after, run.difference, "yes" if run.same_winner else "no",
         run.test_before, run.test_after, run.test_difference)
        for run in found.runs
    )  # fmt: skip
    kept = len(columns) if tested else 5
    return Table("Every run in both", columns[:kept], tuple(row[:kept] for row in rows))
