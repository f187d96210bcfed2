"""The reference line in tables and figures: a last row and a dashed grey line, beside what compares the methods. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hpo.report.canvas import Looks
from hpo.report.palette import MUTED, Look
from hpo.report.plots import Band
from hpo.report.tables import Cell, Table
from hpo.results.values import Comparison

LOOK = Look(MUTED, (0, (3, 2)), ".")


def with_row(table: Table, comparison: Comparison) -> Table:
    """Returns a table of methods with the reference as its last row, and a note on how it is computed."""
    reference = comparison.reference
    if reference is None:
        return table
    cells: dict[str, Cell] = {"method": reference.name, "mean": reference.mean, "test_mean": reference.test_mean}
    row = tuple(cells.get(column.key) for column in table.columns)
    return replace(table, rows=(*table.rows, row), note=f"{table.note} {reference.how}".strip())


def with_line(
    bands: Mapping[str, Band], looks: Looks, comparison: Comparison, task: str
) -> tuple[dict[str, Band], dict[str, Look]]:
    """Returns the anytime bands over charged epochs of a task and their looks, with the reference's if there is one."""
    reference = comparison.reference
    curve = reference.anytime.get(task) if reference else None
    if reference is None or curve is None:
        return dict(bands), dict(looks)
    x, mean = np.array(curve).T
    return {**bands, reference.name: Band(x, mean)}, {**looks, reference.name: LOOK}


def caption(comparison: Comparison) -> str:
    """Returns how to read the line, to be appended to a caption; empty without a reference."""
    if comparison.reference is None:
        return ""
    return f" Dashed grey: {comparison.reference.name}, random search with twice the budget; at x epochs it has been charged 2x."
