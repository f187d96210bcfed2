"""Words and numbers on a terminal: whole ones, on lines of a given width. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor

from rich.cells import cell_len, set_cell_size

BREAKS = " -_./:,"  # after which a long name may be cut


def amount(number: float) -> str:
    """Formats a count or a sum of costs: 1,024 or 1,023.5 or 0.025; rounds down, since a budget is spent only at its end."""
    if number % 1 == 0:
        return f"{int(number):,}"
    return f"{floor(number * 10) / 10:,.1f}" if number >= 1 else f"{floor(number * 1000) / 1000:g}"


def measured(value: float | None) -> str:
    """Formats a metric's value; "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.3e}"


def paced(rate: float) -> str:
    """Formats a number of things a second, by the unit of time in which it is no fraction."""
    for unit, seconds in (("a second", 1), ("a minute", 60)):
        if rate * seconds >= 1:
            return f"{_short(rate * seconds)} {unit}"
    return f"{_short(rate * 3600)} an hour"


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def printable(text: str) -> str:
    """Returns a text on one line, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def clipped(text: str, width: int) -> str:
    """Returns a text of at most `width` cells: a longer one ends with "…" after a whole word, if its first word fits."""
    if cell_len(text) <= width:
        return text
    kept = set_cell_size(text, max(0, width - 1)).rstrip()
    end = max(kept.rfind(mark) for mark in BREAKS)
    return f"{kept[:end].rstrip()}…" if end > 0 else f"{kept}…"


def flowed(parts: Iterable[str], width: int, between: str = ", ") -> list[str]:
    """Returns lines of whole parts; one that is longer than a line is wrapped."""
    lines: list[str] = []
    ends = between.rstrip()  # of a line that goes on below
    for part in parts:
        if lines and cell_len(f"{lines[-1]}{between}{part}{ends}") <= width:
            lines[-1] += between + part
        else:
            lines[-1:] = [line + ends for line in lines[-1:]]
            lines += wrapped(part, width - len(ends))
    return lines


def wrapped(text: str, width: int, most: int | None = None, indent: int = 0) -> list[str]:
    """Returns the lines of a text, broken between words; `most` of them. `indent`: of all lines but the first."""
    lines = [""]
    for word in text.split(" "):
        candidate = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if cell_len(candidate) <= width or not lines[-1].strip():
            lines[-1] = candidate
        else:
            lines.append(" " * indent + word)
    if most is not None and len(lines) > most:
        rest = " ".join([lines[most - 1], *(line.strip() for line in lines[most:])])
        lines = [*lines[: most - 1], clipped(rest, width)]
    return [clipped(line, width) for line in lines]
