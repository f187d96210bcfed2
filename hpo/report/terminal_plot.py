"""The anytime curves as lines of characters for a terminal: a mark and a colour for each method. Pure; no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

import numpy as np
from rich.text import Text

from hpo.report.canvas import Looks
from hpo.report.end_labels import LONGEST, spread
from hpo.report.layout import wrapped
from hpo.report.palette import Look
from hpo.report.plots import Band, shown_range
from hpo.report.tables import number

ROWS = 15
NARROWEST, WIDEST = 60, 100  # columns of a picture
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "+", "X": "x", "p": "*"}  # by the marker of a look
GREY = "·"  # the lines of methods without a colour
TICKS = 7  # most on an axis

Cell: TypeAlias = tuple[str, str]  # a character and its style
BLANK: Cell = " ", ""


@dataclass
class _Plot:
    """The cells inside the axes, with what the axes show: x from `first` to `last`, y from `low` to `high`."""

    first: float
    last: float
    low: float
    high: float
    columns: int
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)

    def row(self, y: float) -> int | None:
        """Returns the row of a value, 0 at the top; None for one that is unknown or below what is shown."""
        if not self.low <= y <= self.high:
            return None
        return round((self.high - y) / (self.high - self.low) * (ROWS - 1))

    def column(self, x: float) -> int:
        return round((x - self.first) / ((self.last - self.first) or 1) * (self.columns - 1))

    def rows(self, band: Band) -> list[int | None]:
        """Returns the row of a step curve in each column; None before it begins and after it ends."""
        x = np.linspace(self.first, self.last, self.columns)
        places = np.searchsorted(band.x, x + 1e-9, side="right") - 1
        known = (places >= 0) & (x <= band.x[-1] + 1e-9)
        return [self.row(float(band.mean[i])) if k else None for i, k in zip(places, known, strict=True)]


def anytime(bands: Mapping[str, Band], looks: Looks, *, metric: str, x_label: str, width: int) -> Text:
    """Returns the curves of each method's best value so far, `width` columns wide at most, with its name and last value at
    its end; names that are too long for that stand below.

    Without colours the marks on the curves tell them apart. Of more methods than there are colours the others are dots.
    """
    names = [name for name in bands if looks[name].top]
    marked = {name: f"{MARKS[looks[name].marker]} {name}" for name in names}
    below = max(map(len, names)) > LONGEST  # the names, which are never cut
    ends = {
        name: f"{MARKS[looks[name].marker] if below else text} {number(float(bands[name].mean[-1]))}"
        for name, text in marked.items()
    }
    low, high = shown_range([band.mean for band in bands.values()])
    scale = _ticks(low, high)
    left = max(map(len, scale.values()), default=0) + 1
    columns = min(width, WIDEST) - left - 2 - max(map(len, ends.values()))
    first, last = min(band.x[0] for band in bands.values()), max(band.x[-1] for band in bands.values())
    plot = _Plot(first, last, low, high, columns)
    _draw(plot, bands, looks)
    styled = [(row, Text(f" {ends[name]}", _style(looks[name]))) for name, row in _end_rows(plot, bands, names).items()]
    title = Text(wrapped(f"Best {metric} so far, mean over the runs{_others(bands, names)}", width))
    legend = [Text(f"{' ' * left} {text}", _style(looks[name])) for name, text in marked.items()] if below else []
    return Text("\n").join([title, *_rows(plot, scale, left, dict(styled)), *_x_axis(plot, left, x_label), *legend])


def _rows(plot: _Plot, scale: Mapping[float, str], left: int, ends: Mapping[int, Text]) -> Iterator[Text]:
    """Yields the lines from top to bottom: the scale, the curves, what stands at their ends."""
    marks = {row: text for y, text in scale.items() if (row := plot.row(y)) is not None}
    for row in range(ROWS):
        line = Text(marks.get(row, "").rjust(left - 1) + " ").append("┤" if row in marks else "│")
        cells = (plot.cells.get((row, place), BLANK) for place in range(plot.columns))
        for style, alike in groupby(cells, key=lambda cell: cell[1]):
            line.append("".join(character for character, _ in alike), style)
        line.append_text(ends.get(row, Text()))
        line.rstrip()
        yield line


def _others(bands: Mapping[str, Band], names: Sequence[str]) -> str:
    others = len(bands) - len(names)
    return f"; dots: {others} other methods" if others else ""


def _draw(plot: _Plot, bands: Mapping[str, Band], looks: Looks) -> None:
    """Draws the curves, those that end best last, then the marks, in turns along the curves so that none hides another."""
    coloured = [name for name in bands if looks[name].top]
    order = sorted(bands, key=lambda name: (looks[name].top, -_end(plot, bands[name])))
    for name in order:
        line = _dots if not looks[name].top else _line
        for place, character in line(plot.rows(bands[name])):
            plot.cells[place] = character, _style(looks[name])
    apart = max(3 * len(coloured), 9)
    for i, name in enumerate(coloured):
        for column, row in enumerate(plot.rows(bands[name])):
            if row is not None and column % apart == (i * apart // len(coloured) + 2) % apart:
                plot.cells[row, column] = MARKS[looks[name].marker], f"bold {_style(looks[name])}"


def _end(plot: _Plot, band: Band) -> int:
    """Returns the row in which a curve ends."""
    return plot.row(float(band.mean[-1])) or 0


def _dots(rows: Sequence[int | None]) -> Iterator[tuple[tuple[int, int], str]]:
    yield from (((row, column), GREY) for column, row in enumerate(rows) if row is not None)


def _line(rows: Sequence[int | None]) -> Iterator[tuple[tuple[int, int], str]]:
    """Yields the cells of a step curve: level strokes, and in the column of a step its corners and what joins them."""
    before: int | None = None
    for column, row in enumerate(rows):
        if row is not None and before is not None and row != before:
            up = row < before
            yield (before, column), "╯" if up else "╮"
            yield (row, column), "╭" if up else "╰"
            yield from (((between, column), "│") for between in range(min(row, before) + 1, max(row, before)))
        elif row is not None:
            yield (row, column), "─"
        before = row


def _end_rows(plot: _Plot, bands: Mapping[str, Band], names: Sequence[str]) -> dict[str, int]:
    """Returns the row of what stands at each curve's end: as near to it as the others allow."""
    places = [(plot.high - float(bands[name].mean[-1])) / (plot.high - plot.low) for name in names]
    apart = spread([min(max(place, 0.0), 1.0) for place in places], 1 / (ROWS - 1))
    found: dict[str, int] = {}
    for name, place in sorted(zip(names, apart, strict=True), key=lambda pair: pair[1]):
        found[name] = max(round(place * (ROWS - 1)), max(found.values(), default=-1) + 1)
    return found


def _x_axis(plot: _Plot, left: int, label: str) -> list[Text]:
    line, numbers = ["─"] * plot.columns, [" "] * (plot.columns + 8)
    for x, text in _ticks(plot.first, plot.last).items():
        column = plot.column(x)
        line[column] = "┬"
        start = max(0, column - len(text) // 2)
        numbers[start : start + len(text)] = text
    gap = " " * left
    return [Text(f"{gap}└{''.join(line)}"), Text(f"{gap} {''.join(numbers)}".rstrip()), Text(f"{gap} {label}")]


def _ticks(low: float, high: float) -> dict[float, str]:
    """Returns round numbers between the two, with their texts."""
    rough = (high - low) / TICKS or 1.0
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(part * size for part in (1, 2, 5, 10) if part * size >= rough)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    count = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return {i * step: f"{i * step:,.{decimals}f}".replace("-", "−") for i in count}


def _style(look: Look) -> str:
    return look.tint.between if look.top else "bright_black"
