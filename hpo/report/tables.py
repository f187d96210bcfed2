"""Tables of figures as terminal text, Markdown, LaTeX, CSV and HTML: one Table, five renderings. No I/O.

Formats for people round numbers to what a reader can use; CSV keeps every digit and splits intervals into two columns.
"""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeAlias

from hpo.errors import HpoError
from hpo.report.layout import grid, wrapped
from hpo.text import duration

Cell: TypeAlias = str | int | float | bool | tuple[float, float] | None
Kind: TypeAlias = Literal["text", "count", "value", "rank", "interval", "p", "seconds", "percent"]

NOTHING = "–"
FORMATS = ("table", "json", "csv", "markdown", "latex", "html")


class UnknownFormat(HpoError):
    """A format in which tables cannot be rendered."""


@dataclass(frozen=True)
class Column:
    """A column: its heading, its name in CSV, and the kind of its cells."""

    title: str
    key: str
    kind: Kind = "value"

    @property
    def numeric(self) -> bool:
        return self.kind != "text"


@dataclass(frozen=True)
class Table:
    """A title, columns, rows [rows, columns], and a note on how to read them. `strong`: indices of rows to highlight."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    strong: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row must have {len(self.columns)} cells, but got {len(row)}: {row}")

    def texts(self) -> list[list[str]]:
        """Returns every cell as text for people."""
        return [[text(cell, column.kind) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]


# -- cells --------------------------------------------------------------------------------------------------------


def text(cell: Cell, kind: Kind) -> str:
    """Returns a cell as text for people; an en dash for an empty one."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return NOTHING
    if isinstance(cell, tuple):
        low, high = cell
        return NOTHING if math.isnan(low) or math.isnan(high) else f"{number(low)} to {number(high)}"
    if isinstance(cell, str | bool):
        return str(cell)
    return _WRITERS[kind](cell)


def number(value: float) -> str:
    """Returns a number with four decimals, fewer if it is large, a power of ten if it is tiny; with a true minus sign."""
    size = abs(value)
    if value == 0 or math.isinf(size):
        plain = "0" if value == 0 else f"{value}"
    elif size < 5e-4:
        plain = f"{value:.2e}"
    else:
        plain = f"{value:.4f}" if size < 10 else f"{value:.2f}" if size < 1000 else f"{value:,.0f}"
    return plain.replace("-", "−") if value < 0 else plain


def p_value(value: float) -> str:
    """Returns a p value with three or four decimals; a bound if it is smaller."""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def short(value: object) -> str:
    """Returns a hyperparameter's value with three digits at most."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


_WRITERS: dict[str, Callable[[float], str]] = {
    "text": str,
    "count": lambda value: f"{value:,.0f}",
    "value": number,
    "rank": lambda value: f"{value:.2f}",
    "interval": number,
    "p": p_value,
    "seconds": duration,
    "percent": lambda value: f"{100 * value:.1f} %",
}


# -- formats ------------------------------------------------------------------------------------------------------


def render_tables(
    tables: Sequence[Table], format: str, *, lead: str = "", width: int | None = None, figure: str = ""
) -> str:
    """Renders tables in one of FORMATS except json, after a leading sentence (CSV omits it).

    `figure`: characters between the sentence and the tables, only on a terminal.
    """
    if format == "table":
        return terminal(tables, lead, width, figure)
    writers = {"csv": csv_text, "markdown": markdown, "latex": latex, "html": html}
    if format not in writers:
        raise UnknownFormat(f"the format must be one of {', '.join(FORMATS)}, but got {format!r}")
    if format == "csv":
        return "\n".join(csv_text(table) for table in tables)
    opening = (
        {
            "markdown": lead,
            "latex": f"% {lead}\n% In the preamble: \\usepackage{{booktabs}}",
            "html": f"<p>{escape(lead)}</p>",
        }[format]
        if lead
        else ""
    )
    parts = [part for part in (opening, *(writers[format](table) for table in tables)) if part]
    return "\n\n".join(parts) + "\n"


def terminal(tables: Sequence[Table], lead: str = "", width: int | None = None, figure: str = "") -> str:
    """Renders tables for a terminal, after a leading sentence and a figure of characters. Cuts no word.

    A table that is too wide has its headings, then its text, on several lines, and else continues below, with its first
    column repeated. `width`: columns (default: the terminal's; without a terminal, as many as the tables need).
    """
    room = width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else 100_000)
    parts = [part for part in (wrapped(lead, room), figure) if part]
    for table in tables:
        lines = [wrapped(table.title, room), *_grid(table, room)]
        parts.append("\n".join([*lines, wrapped(table.note, room)] if table.note else lines))
    return "\n\n".join(parts) + "\n"


def _grid(table: Table, room: int) -> list[str]:
    numeric = [column.numeric for column in table.columns]
    return grid([column.title for column in table.columns], table.texts(), numeric, room)


def csv_text(table: Table) -> str:
    """Renders comma-separated values with a heading line; a missing value is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([name for column in table.columns for name in _csv_names(column)])
    for row in table.rows:
        writer.writerow([v for cell, column in zip(row, table.columns, strict=True) for v in _csv_cells(cell, column)])
    return buffer.getvalue()


def _csv_names(column: Column) -> list[str]:
    return [f"{column.key}_low", f"{column.key}_high"] if column.kind == "interval" else [column.key]


def _csv_cells(cell: Cell, column: Column) -> list[object]:
    if column.kind == "interval":
        return list(cell) if isinstance(cell, tuple) else ["", ""]
    return ["" if cell is None else cell]


def markdown(table: Table) -> str:
    """Renders a pipe table in GitHub's Markdown."""
    head = [column.title for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    body = [["**" + c + "**" if i in table.strong and not j else c for j, c in enumerate(_piped(row))]
            for i, row in enumerate(table.texts())]  # fmt: skip
    lines = [f"| {' | '.join(row)} |" for row in ([*_piped(head)], rule, *body)]
    return "\n".join([f"### {table.title}", "", *lines, *(["", table.note] if table.note else [])])


def _piped(row: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("\n", " ") for cell in row]


def latex(table: Table) -> str:
    """Renders a table environment with booktabs' rules for a paper; highlighted rows have a bold name."""
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    head = " & ".join(_tex(column.title) for column in table.columns)
    rows = [[_tex(cell) for cell in row] for row in table.texts()]
    named = [[rf"\textbf{{{row[0]}}}", *row[1:]] if i in table.strong else row for i, row in enumerate(rows)]
    body = [" & ".join(row) + r" \\" for row in named]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(' '.join(part for part in (table.title + '.', table.note) if part))}}}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "<": "$<$", ">": "$>$", "×": r"$\times$",
}  # fmt: skip
_TEX_ANY = re.compile("|".join(map(re.escape, _TEX)))


def _tex(plain: str) -> str:
    return _TEX_ANY.sub(lambda match: _TEX[match.group()], plain)


def html(table: Table) -> str:
    """Renders a <table> with a caption and headings of columns and rows, in a box that scrolls on a narrow page."""
    head = "".join(f'<th scope="col"{_number_class(column)}>{escape(column.title)}</th>' for column in table.columns)
    body = []
    for i, row in enumerate(table.texts()):
        first, *rest = (escape(cell) for cell in row)
        cells = "".join(f"<td{_number_class(c)}>{v}</td>" for c, v in zip(table.columns[1:], rest, strict=True))
        mark = ' class="strong"' if i in table.strong else ""
        body.append(f'<tr{mark}><th scope="row">{first}</th>{cells}</tr>')
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}"><table>'
        f"<caption><span>{escape(table.title)}</span></caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>{note}"
    )


def _number_class(column: Column) -> str:
    return ' class="number"' if column.numeric else ""
