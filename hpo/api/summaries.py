"""A comparison and an importance as Python users have them: with a table, as text and in rich display. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, TypeAlias, TypedDict

import pyarrow as pa

from hpo.api.tables import Table
from hpo.results import importance, values


class Compared(TypedDict, total=False):
    """The options of `Results.compare`, which explains them."""

    target: float | None
    workers: int | None
    difference: float | str | None
    objectives: str | Sequence[str] | None
    reference: Sequence[float] | None
    constraints: str | Sequence[str]


Format: TypeAlias = Literal["table", "json", "csv", "markdown", "latex", "html"]


@dataclass(frozen=True, repr=False)
class Comparison(values.Comparison):
    """The methods of a study side by side: `verdict`, `methods`, `tests` and more; it prints as `hpo compare` does."""

    @classmethod
    def of(cls, found: values.Comparison) -> Self:
        """Returns the comparison with what a Python user needs besides."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    @property
    def table(self) -> Table:
        """One row a method: its mean, interval, rank, epochs and the like."""
        return _table([asdict(method) for method in self.methods], "methods")

    @property
    def pairs(self) -> Table:
        """One row a pair of methods: their difference, its interval, p values and the verdict."""
        return _table([asdict(test) for test in self.tests], "pairs")

    def render(
        self, format: Format = "table", *, width: int | None = None, runs: bool = False, all_tables: bool = False
    ) -> str:
        """Returns the comparison as `hpo compare --format` prints it.

        `runs`: with the winner of every run. `all_tables`: as text, too, with costs, pairs and ranks.
        """
        from hpo.report.comparison_tables import render_comparison

        return render_comparison(self, format, width=width, runs=runs, short=not all_tables)

    def __repr__(self) -> str:
        return self.render().rstrip()

    def _repr_html_(self) -> str:
        from hpo.api.html import box, said, shown
        from hpo.report.comparison_tables import comparison_tables

        return box(said(self.verdict), shown(comparison_tables(self, brief=True)), title=self.study)


@dataclass(frozen=True, repr=False)
class Importance(importance.Importance):
    """Which hyperparameters mattered: `shares`, `pairs`, `decided` and more; it prints as `hpo importance` does."""

    @classmethod
    def of(cls, found: importance.Importance) -> Self:
        """Returns the importance with what a Python user needs besides."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    @property
    def table(self) -> Table:
        """One row a hyperparameter: its share of the variance with its interval, the most important first."""
        return _table([asdict(share) for share in self.shares], "shares")

    def render(self, format: Format = "table", *, width: int | None = None) -> str:
        """Returns the importance as `hpo importance --format` prints it."""
        from hpo.report.importance_tables import render_importance

        return render_importance(self, format, width=width)

    def __repr__(self) -> str:
        return self.render().rstrip()

    def _repr_html_(self) -> str:
        from hpo.api.html import box, said, shown
        from hpo.report.importance_tables import importance_tables, summary

        return box(said(summary(self)), shown(importance_tables(self)), title=self.study)


def _table(rows: list[dict[str, Any]], name: str) -> Table:
    """Returns rows as a table; mappings in their cells, whose keys differ from row to row, are left out."""
    kept = [{key: cell for key, cell in row.items() if not isinstance(cell, dict)} for row in rows]
    return Table(pa.Table.from_pylist(kept), name)
