"""Rows of the benches' table, and tables written into pages of the documentation between markers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CURVES = ROOT.parent / "shared" / "data" / "curves" / "taskset-dpl.npz"


def row(what: str, values: Sequence[float], unit: str, bar: str = "", **more: Any) -> dict[str, Any]:
    """What was measured how often: median, least and most. `bar`: what must hold, as people read it."""
    return {
        "what": what, "median": statistics.median(values), "min": min(values), "max": max(values), "unit": unit,
        "bar": bar, **more,
    }  # fmt: skip


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the rows."""
    for r in rows:
        print(f"{r['what']:62s} {r['median']:10.3f} {r['min']:10.3f} {r['max']:10.3f} {r['unit']:8s} {r['bar']}")


def markdown(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """A table of Markdown, its first column to the left."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write(page: Path, name: str, text: str) -> None:
    """Puts the text between the page's markers of that name; raises ValueError where the page has none."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    whole = page.read_text()
    if begin not in whole or end not in whole:
        raise ValueError(f"{page} must hold {begin} and {end}, but does not")
    head, tail = whole[: whole.index(begin) + len(begin)], whole[whole.index(end) :]
    page.write_text(f"{head}\n{text.strip()}\n{tail}")
