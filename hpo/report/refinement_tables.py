"""A refinement as a table for a terminal: what each change of the winner does. Pure."""

from __future__ import annotations

from hpo.report.tables import Column, Table, render_tables, short
from hpo.results.refinement import Refinement


def render_refinement(found: Refinement, *, width: int | None = None) -> str:
    """Renders the verdict and the changes. `width`: the terminal's columns (default: ask the terminal)."""
    return render_tables([changes_table(found)], "table", lead=found.verdict, width=width)


def changes_table(found: Refinement) -> Table:
    """Returns one row a change of one hyperparameter: its mean, its gain over the winner, and whether that is real."""
    columns = (
        Column("change", "change", "text"), Column("from", "from", "text"), Column(f"mean {found.metric}", "mean"),
        Column("gain", "gain"), Column("95 % interval", "ci95", "interval"), Column("pairs", "pairs", "count"),
        Column("p adjusted", "p_adjusted", "p"), Column("verdict", "verdict", "text"),
    )  # fmt: skip
    rows = tuple(
        (f"{c.name}={short(c.value)}", short(found.config.get(c.name, "–")), c.mean, c.gain, c.ci95, c.pairs,
         c.p_adjusted, c.verdict)
        for c in found.changes
    )  # fmt: skip
    config = ", ".join(f"{name}={short(value)}" for name, value in found.config.items())
    note = f"The winner: {config}. Gain: how much better than the winner, mean over equal seeds."
    return Table(f"Changes of the winner, whose mean {found.metric} is {found.mean:.4f}", columns, rows, note)
