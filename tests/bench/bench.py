"""Runs all benches into one table and one JSON file with a description of the machine: `make bench`.

    python tests/bench/bench.py [--quick] [--only a,b] [--add] [--peers PYTHON] [--write] [--page]

Each bench_*.py beside this file runs in its own process, one after the other. It takes --quick and --json FILE
(`rows.command`) and writes rows with what, median, min, max, unit and bar ("at most 1.2", or empty). The table shows ratios
first. build/bench.json keeps the rows with the machine; --add keeps the last rows of other benches in it. --peers is a
Python with optuna and syne-tune (`pip install optuna syne-tune psutil` beside this project's packages); they are never a
dependency, and without them their rows are left out. --write lets benches write their tables into docs/; --page writes
the last rows into docs/benchmarks.md and runs nothing.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

from rows import ROOT, Row, markdown, number, save, write

HERE = Path(__file__).parent
RESULT = ROOT / "build" / "bench.json"
PACKAGES = ("ray", "torch", "numpy", "scikit-learn", "pyarrow")
PEERS = ("optuna", "syne-tune")
HOURS = ("arena", "recipe")  # benches that take hours: they run only by --only, or --quick
FEW = 4  # docs/benchmarks.md shows at most so many rows of a bench with the same bar


# -- the machine --------------------------------------------------------------------------------------------------


def machine(peers: str) -> Row:
    """Returns a description of the machine and of the packages."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor(), "cores": os.cpu_count(), "memory_gb": round(pages / 2**30, 1), "gpus": gpus(),
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
        "packages": {name: known for name in PACKAGES if (known := installed(name))},
        "peers": {name: known for name in PEERS if (known := installed(name, peers))},
    }  # fmt: skip


def processor() -> str:
    try:
        names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def gpus() -> list[str]:
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def installed(package: str, python: str | None = None) -> str | None:
    """Returns a package's version in this Python or in another; None if it is missing."""
    if python is None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None
    code = f"from importlib.metadata import version; print(version({package!r}))"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


# -- the benches --------------------------------------------------------------------------------------------------


def run(bench: Path, quick: bool, peers: str, put: bool = False) -> list[Row]:
    """Runs one bench and returns its rows; if it fails, one row says so."""
    began, load = time.time(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "rows.json"
        command = [sys.executable, str(bench), "--json", str(result), *(["--quick"] if quick else [])]
        if put and pages(bench):
            command.append("--write")
        answer = subprocess.run(command, cwd=ROOT, env={**os.environ, "HPO_PEERS": peers}, check=False)
        if result.exists():  # even with another exit code than 0: a bench may signal a missed bar by it
            found = conforming(json.loads(result.read_text()))
        else:
            found = [{"what": f"failed with exit code {answer.returncode}", "unit": "error", "bar": ""}]
    about = {"bench": bench.stem.removeprefix("bench_"), "quick": quick, "unix_time": began, "load": load}
    return [{**about, **row} for row in found]


def conforming(found: Any) -> list[Row]:
    """Returns the rows, with an error row in place of each malformed one."""
    if not isinstance(found, list):
        return [
            {"what": f"its JSON must be a list of rows, but it is a {type(found).__name__}", "unit": "error", "bar": ""}
        ]
    return [
        row
        if isinstance(row, dict) and {"what", "median", "min", "max", "unit"} <= set(row)
        else {
            "what": f"a row must have what, median, min, max and unit, but got {row}"[:100],
            "unit": "error",
            "bar": "",
        }
        for row in found
    ]


def strain(row: Row) -> float | None:
    """Returns how much of its bar the median uses, above 1 if it misses the bar; None without a numeric bar."""
    bar = str(row.get("bar") or "").replace(",", "")
    limit = re.match(r"(at most|at least|<=?|>=?) ?([0-9.e-]+)", bar)
    between = re.match(r"([0-9.]+) to ([0-9.]+)", bar)
    if "median" not in row or not (limit or between):
        return None
    value = float(row["median"])
    if between:
        low, high = float(between[1]), float(between[2])
        return abs(2 * value - low - high) / (high - low)
    assert limit is not None
    most = limit[1] in ("at most", "<", "<=")
    part, whole = (value, float(limit[2])) if most else (float(limit[2]), value)
    return part / whole if whole else math.inf


def met(row: Row) -> bool | None:
    """Returns whether the median meets the bar; None without a numeric bar."""
    used = strain(row)
    return None if used is None else used <= 1


# -- the table ----------------------------------------------------------------------------------------------------


def text(rows: Sequence[Row]) -> str:
    """Returns the rows as a Markdown table, ratios first."""
    head = ("bench", "what", "median", "min", "max", "unit", "bar")
    return markdown(head, [[row["bench"], *cells(row)] for row in sorted(rows, key=lambda row: row["unit"] != "ratio")])


def cells(row: Row) -> list[str]:
    numbers = [number(row[name]) if name in row else "" for name in ("median", "min", "max")]
    verdict = {None: "", True: ": met", False: ": NOT met"}[met(row)]
    return [row["what"], *numbers, row["unit"], f"{row.get('bar') or ''}{verdict}"]


def headlines(rows: Sequence[Row]) -> list[Row]:
    """Returns rows with a bar, and ratios that no other page of docs/ shows.

    Only the row closest to its bar is shown when a bench has more than FEW rows with the same bar.
    """
    shown = []
    for (bench, bar), group in groupby(rows, lambda row: (row["bench"], row.get("bar") or "")):
        of = list(group)
        if not bar:
            shown += [row for row in of if row["unit"] == "ratio" and not pages(HERE / f"bench_{bench}.py")]
        elif len(of) > FEW:
            worst = max(of, key=lambda row: strain(row) or 0.0)
            shown.append({**worst, "what": f"{worst['what']} (the worst of {len(of)})"})
        else:
            shown += of
    return shown


def pages(bench: Path) -> bool:
    """Returns whether the bench writes pages of docs/: it then calls `command(..., writes=True)`."""
    if not bench.exists():
        return False
    calls = (node for node in ast.walk(ast.parse(bench.read_text())) if isinstance(node, ast.Call))
    return any(given.arg == "writes" for call in calls for given in call.keywords)


def page(whole: Row) -> str:
    """Returns the text of docs/benchmarks.md: the machine, then the table of headlines."""
    known = whole["machine"]
    used = ", ".join(f"{name} {at}" for name, at in {**known["packages"], **known["peers"]}.items())
    shown = headlines(sorted(whole["rows"], key=lambda row: (row["bench"], row.get("bar") or "")))
    days = sorted({date.fromtimestamp(row["unix_time"]).isoformat() for row in shown})
    brief = sorted({row["bench"] for row in shown if row["quick"]})
    told = (
        f"Measured on {known['processor']}, {known['cores']} cores, {known['memory_gb']} GB"
        f"{''.join(f', {name}' for name in known['gpus'])}; {known['system']}, Python {known['python']}; {used}; "
        f"{' to '.join(dict.fromkeys([days[0], days[-1]])) if days else 'never'}. "
        f"{'Measured with `--quick`: ' + ', '.join(brief) + '. ' if brief else ''}"
        "Both sides of a ratio were measured side by side in one run."
    )
    return f"{told}\n\n{text(shown)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--only", help=f"comma-separated names without bench_ (default: all but {', '.join(HOURS)})")
    parser.add_argument("--add", action="store_true", help="keep the last rows of benches that do not run now")
    parser.add_argument(
        "--peers",
        default=os.environ.get("HPO_PEERS", sys.executable),
        metavar="PYTHON",
        help="a Python with optuna and syne-tune",
    )
    parser.add_argument("--write", action="store_true", help="let the benches write their tables into docs/")
    parser.add_argument(
        "--page", action="store_true", help="write the last rows into docs/benchmarks.md and run nothing"
    )
    given = parser.parse_args()
    if given.page:
        write(ROOT / "docs" / "benchmarks.md", "table of make bench", page(json.loads(RESULT.read_text())))
        return 0
    benches = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    wanted = given.only.split(",") if given.only else [b for b in benches if given.quick or b not in HOURS]
    unknown = [name for name in wanted if name not in benches]
    if unknown:
        parser.error(f"--only must name some of {', '.join(benches)}, but got {', '.join(unknown)}")
    rows = [row for name in wanted for row in run(benches[name], given.quick, given.peers, given.write)]
    kept = json.loads(RESULT.read_text())["rows"] if given.add and RESULT.exists() else []
    rows = [row for row in kept if row["bench"] not in wanted] + rows
    save(RESULT, {"machine": machine(given.peers), "rows": rows})
    print(text(rows))
    return int(any(row["unit"] == "error" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
