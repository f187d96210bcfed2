"""A table of a study, as the data frames of whichever library a user has. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

import pyarrow as pa

from hpo.errors import HpoError

SHOWN = 10  # rows of a table in rich display


class Table:
    """Columns and rows. Libraries that read Arrow take it as it is: `polars.DataFrame(epochs)`, DuckDB's `from epochs`."""

    def __init__(self, arrow: pa.Table, name: str = "table") -> None:
        self._arrow, self._name = arrow, name

    def to_arrow(self) -> pa.Table:
        """Returns the table as a pyarrow.Table, whose schema holds units and meanings."""
        return self._arrow

    def to_pandas(self) -> Any:
        """Returns the table as a pandas.DataFrame. Raises HpoError without pandas."""
        _check("pandas")
        return self._arrow.to_pandas()

    def to_polars(self) -> Any:
        """Returns the table as a polars.DataFrame. Raises HpoError without polars."""
        _check("polars")
        import polars

        return polars.from_arrow(self._arrow)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._arrow.schema.names)

    def rows(self) -> list[dict[str, Any]]:
        """Returns every row as a dictionary."""
        found: list[dict[str, Any]] = self._arrow.to_pylist()
        return found

    def __len__(self) -> int:
        return int(self._arrow.num_rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._arrow.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<{self._name}: {len(self):,} rows of {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        from hpo.api.html import box

        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.columns)
        rows = self._arrow.slice(0, SHOWN).to_pylist()
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row.values()) + "</tr>" for row in rows
        )
        rest = f'<p class="note">the first {SHOWN} of {len(self):,} rows</p>' if len(self) > SHOWN else ""
        table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}'
        return box(table, title=self._name)


def _text(cell: Any) -> str:
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _check(library: str) -> None:
    from importlib.util import find_spec

    if find_spec(library) is None:
        raise HpoError(f"{library} must be installed, but is not: pip install {library}; `to_arrow` needs no library")
