"""All benches, one table and one JSON file with the machine's description: `make bench`.

Each bench_*.py beside this file that has `main(quick) -> rows` and writes them with `--json FILE` runs in a process of its
own, one after the other. Rows: what, median, min, max, unit, bar. Ratios come first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULT = HERE.parents[1] / "build" / "bench.json"
PACKAGES = ("ray", "torch", "numpy", "pyarrow")


def machine() -> dict[str, Any]:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(), "memory_gb": round(pages / 2**30, 1), "system": platform.platform(),
        "python": platform.python_version(), "load": os.getloadavg()[0], "packages": {n: version(n) for n in PACKAGES},
    }  # fmt: skip


def run(bench: Path, quick: bool) -> list[dict[str, Any]]:
    """The rows of one bench. Where it fails, one row says so."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "rows.json"
        command = [sys.executable, str(bench), "--json", str(result), *(["--quick"] if quick else [])]
        answer = subprocess.run(command, cwd=HERE.parents[1], check=False)
        if answer.returncode == 0 and result.exists():
            return [{"bench": bench.stem, **row} for row in json.loads(result.read_text())]
    return [{"bench": bench.stem, "what": f"failed with exit code {answer.returncode}", "unit": "error", "bar": ""}]


def text(rows: list[dict[str, Any]]) -> str:
    lines = ["| bench | what | median | min | max | unit | bar |", "|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["unit"] != "ratio"):
        numbers = [f"{row[name]:.3g}" if name in row else "" for name in ("median", "min", "max")]
        lines.append("| " + " | ".join([row["bench"], row["what"], *numbers, row["unit"], str(row["bar"])]) + " |")
    return "\n".join(lines)


def speaks(bench: Path) -> bool:
    """Whether the bench hands its rows over as JSON."""
    return '"--json"' in bench.read_text() and '"--quick"' in bench.read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--only", help="comma-separated names, without bench_")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else None
    benches = [b for b in sorted(HERE.glob("bench_*.py")) if wanted is None or b.stem.removeprefix("bench_") in wanted]
    silent = [b.stem for b in benches if not speaks(b)]
    rows = [row for bench in benches if speaks(bench) for row in run(bench, given.quick)]
    RESULT.parent.mkdir(exist_ok=True)
    whole = {"machine": machine(), "unix_time": time.time(), "quick": given.quick, "rows": rows, "not_run": silent}
    beside = RESULT.with_suffix(".part")
    beside.write_text(json.dumps(whole, indent=1))
    beside.replace(RESULT)
    print(text(rows))
    if silent:
        print(f"not run, as they print tables of their own: {', '.join(silent)}")
    return int(any(row["unit"] == "error" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
