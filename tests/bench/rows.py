"""Shared by the benches: the command line, rows, and tables written between markers into pages of docs/."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CURVES = ROOT.parent / "shared" / "data" / "curves" / "taskset-dpl.npz"


Row = dict[str, Any]


def command(doc: str | None, *, writes: bool = False) -> argparse.ArgumentParser:
    """Returns a bench's command line, to extend. `writes` tells bench.py that the bench writes pages of docs/."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, for bench.py")
    if writes:
        parser.add_argument("--write", action="store_true", help="write the tables into the pages of docs/")
    return parser


def tell(rows: Sequence[Row], path: Path | None) -> None:
    """Prints the rows, and writes them as JSON if a path is given."""
    show(rows)
    if path is not None:
        save(path, rows)


def save(path: Path, value: Any) -> None:
    """Writes the value as JSON: the file is the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(value, indent=1))
    os.replace(beside, path)


def row(what: str, values: Sequence[float], unit: str, bar: str = "", **more: Any) -> Row:
    """Returns a row with the median, minimum and maximum of the values. `bar` says in words what must hold."""
    return {
        "what": what, "median": float(statistics.median(values)), "min": float(min(values)), "max": float(max(values)),
        "unit": unit, "bar": bar, **more,
    }  # fmt: skip


def show(rows: Sequence[Row]) -> None:
    """Prints the rows."""
    for r in rows:
        numbers = " ".join(f"{number(r[name]):>10s}" for name in ("median", "min", "max"))
        print(f"{r['what']:62s} {numbers} {r['unit']:8s} {r['bar']}")


def number(value: float) -> str:
    """Formats a number with three digits, without decimals from 1,000 on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """Returns a Markdown table with columns of numbers aligned to the right; the first is not one of them."""
    text = [[str(cell) for cell in line] for line in body]
    rule = ["---:" if i and _numbers(line[i] for line in text) else "---" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *text))


def _numbers(cells: Iterable[str]) -> bool:
    """Whether the cells that say something begin with a number each."""
    return all(re.match(r"[+-]?\d", cell) for cell in cells if cell.strip("–-"))


def write(page: Path, name: str, text: str) -> None:
    """Puts the text between the page's markers of that name. Raises ValueError if the page has no such markers."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    whole = page.read_text()
    if begin not in whole or end not in whole:
        raise ValueError(f"{page} must hold {begin} and {end}, but it does not")
    head, tail = whole[: whole.index(begin) + len(begin)], whole[whole.index(end) :]
    page.write_text(f"{head}\n{text.strip()}\n{tail}")
