"""The bench's results: printed and appended to a file at once, and as the table of docs/measured/gpu.md."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import met
from rows import Row, markdown, number, row, show

NOT_RUN, FAILED = "not run", "error"  # units of rows without a number


def without_number(what: str, unit: str, reason: str) -> Row:
    """Returns the row of what was not run, or failed."""
    return row(what, [0], unit, detail=reason)


def line(found: Row, *, bars: bool) -> Row:
    """Returns a row in the form of HPO_GPU_ROWS: value and ok are None where there is no number, or no bar to reach."""
    numbered = found["unit"] not in (NOT_RUN, FAILED)
    ok = False if found["unit"] == FAILED else met(found) if bars and numbered else None
    return {
        "part": part(), "what": found["what"], "ok": ok, "value": found["median"] if numbered else None,
        "unit": found["unit"] if numbered else "", "bar": found["bar"], "detail": found.get("detail", ""),
    }  # fmt: skip


def part() -> str:
    """Returns the name of the part of `make gpu` that this process is."""
    return os.environ.get("HPO_GPU_PART", "speed")


class Report:
    """Keeps the rows, prints each at once, and appends it to a file where one is given."""

    def __init__(self, path: Path | None, *, bars: bool) -> None:
        self.rows: list[Row] = []
        self._path, self._bars = path, bars

    @property
    def lines(self) -> list[Row]:
        """The rows in the form of HPO_GPU_ROWS."""
        return [line(found, bars=self._bars) for found in self.rows]

    def begin(self, step: str) -> None:
        """Notes that a step begins: where the process is killed, the file says in which."""
        self._append({"part": part(), "what": step, "began": True})

    def add(self, found: Row) -> None:
        """Takes a row."""
        self.rows.append(found)
        show([found])
        if found.get("detail"):
            print(f"    {found['detail']}", flush=True)
        self._append(line(found, bars=self._bars))

    def _append(self, content: Row) -> None:
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(content) + "\n")


def table(machine: Mapping[str, Any], lines: Sequence[Row]) -> str:
    """Returns the page's text from rows in the form of HPO_GPU_ROWS, with the machine that `make gpu` describes."""
    body, left = [], []
    for one in lines:
        if one["value"] is None:
            failed = "failed" if one["ok"] is False else "not run"
            left.append(f"- {one['what']}: {failed}: {' '.join(str(one['detail']).split())[:300]}")
            continue
        verdict = {True: ": met", False: ": NOT met", None: ""}[one["ok"]] if one["bar"] else ""
        body.append([one["what"], number(one["value"]), one["unit"], f"{one['bar']}{verdict}", one["detail"]])
    used = ", ".join(f"{name} {machine[name]}" for name in ("driver", "torch", "cuda", "python") if machine.get(name))
    about = f"Measured on {machine['card']}, {machine['cores']} cores; {used}."
    shown = markdown(("what", "value", "unit", "bar", "detail"), body)
    return "\n\n".join([about, shown, *(["\n".join(["Without a number:", "", *left])] if left else [])])
