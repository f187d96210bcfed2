"""Checks the project on a GPU, then measures it: `make gpu`. Prints one table last and writes JSON.

    python tests/gpu/gpu.py [--json FILE] [--only PART ...]

Each part is a child process with a limit in seconds. At its limit it is killed with all processes that it started; what it
reported before is kept, and the parts after it run. A part appends its results to the file that HPO_GPU_ROWS names, one
JSON object a line: part, what, ok (true or false for a check, null for a measurement or a check that was not run), value,
unit, bar, detail. Without a GPU all that can run on a CPU runs, with four times the seconds. Exit code 1: a check failed,
a part was cut off, or a part ended without reporting. Imports only the standard library: no fault of the project hides
the table.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WORKERS = min(14, os.cpu_count() or 1)  # of the checks of fine-tuning; each holds a CUDA context
PATIENCE = 4  # limits are meant for a machine with a GPU and 16 cores; without a GPU they are so many times as long
LINES, LETTERS = 108, 11_000  # the most of the table
WIDTH, REASON = 118, 300  # characters of a line, and of a failed check's reason
KEPT = 20_000  # characters of a part's output in the JSON file
BECOMES_PARENT_OF_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A part of the run: a command line, its limit in seconds on a machine with a GPU, and further environment."""

    name: str
    command: Sequence[str]
    limit: float
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What became of a part; `output` is the end of what it printed."""

    name: str
    seconds: float
    limit: float
    code: int
    cut_off: bool
    output: str


def tests(files: str, *options: str) -> list[str]:
    """Returns the command line that runs files of checks: no warning fails them, and a hanging one ends first."""
    return [
        sys.executable, "-m", "pytest", *(f"tests/gpu/{file}" for file in files.split()), "-q", "-m", "gpu",
        "-p", "no:cacheprovider", "--import-mode=importlib", "-o", "filterwarnings=default", "--tb=short", *options,
    ]  # fmt: skip


PARTS = (
    Part(
        "correct",
        tests("test_gpu_graphs.py test_correct.py", "-n", str(WORKERS), "--dist", "worksteal", "--timeout", "100"),
        120,
        {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // WORKERS))},
    ),
    Part(
        "faults",
        tests("test_gpu_faults.py test_gpu_ranks.py", "-n", str(min(4, WORKERS)), "--timeout", "60"),
        70,
        {"HPO_MPS": "0"},
    ),
    Part("studies", tests("test_gpu_studies.py", "--timeout", "195"), 200),
    Part("speed", [sys.executable, "tests/bench/bench_gpu.py", "--rows", "--seconds", "140"], 148),
)


# -- the machine --------------------------------------------------------------------------------------------------

ABOUT = """
import json, torch
found = {"torch": torch.__version__, "cuda": torch.version.cuda or "", "card": "", "memory_gb": 0}
if torch.cuda.is_available():
    about = torch.cuda.get_device_properties(0)
    found |= {"card": about.name, "memory_gb": round(about.total_memory / 2**30, 1)}
print(json.dumps(found))
"""


def machine() -> Row:
    """Returns the card ("" without one), its driver, torch's version and the lock's, Python's version and the cores."""
    found: Row = {"card": "", "memory_gb": 0, "torch": "", "cuda": ""}
    answer = _answer([sys.executable, "-c", ABOUT])
    if answer:
        found |= json.loads(answer.splitlines()[-1])
    driver = _answer(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    lock = re.search(r"^torch==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    found |= {"driver": driver.splitlines()[0] if driver else "", "torch_of_the_lock": lock[1] if lock else ""}
    return found | {"python": platform.python_version(), "cores": os.cpu_count()}


def _answer(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


# -- running the parts --------------------------------------------------------------------------------------------


def run(part: Part, limit: float, folder: Path) -> Outcome:
    """Runs a part for at most `limit` seconds, then ends every process that it left."""
    began, output = time.monotonic(), folder / f"{part.name}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            part.command, cwd=ROOT, env=environment(part, folder), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code, cut_off = process.wait(limit), False
        except subprocess.TimeoutExpired:
            code, cut_off = -signal.SIGKILL, True
        finally:
            end_all(process)
    seconds = round(time.monotonic() - began, 1)
    said = output.read_text(errors="replace")
    return Outcome(part.name, seconds, limit, code, cut_off, said[-KEPT:])


def environment(part: Part, folder: Path) -> dict[str, str]:
    """Returns the environment of a part: this project is importable, and what is cached stays in the run's folder.

    Bytecode too: some images come without torch's, and compiling it takes each process longer than all else.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    common = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "HPO_CACHE": str(folder / "cache"),
              "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}  # fmt: skip
    return {**os.environ, **common, **part.environment,
            "HPO_GPU_ROWS": str(rows_of(part.name, folder)), "HPO_GPU_PART": part.name,
            "HPO_GPU_LIMIT": str(part.limit)}  # fmt: skip


def rows_of(part: str, folder: Path) -> Path:
    """Returns the file of a part's rows: each has its own, so that a killed part's half a line spoils no other's."""
    return folder / f"{part}.jsonl"


def end_all(process: subprocess.Popen[bytes]) -> None:
    """Kills the process, its group, and all orphans of it, which are this process's children by now."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(100):
        left = descendants(os.getpid())
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        if not left:
            return
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """Returns the living processes below `pid`."""
    below: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = place.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            below.setdefault(int(parent), []).append(int(place.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


# -- their results ------------------------------------------------------------------------------------------------


def reported(path: Path) -> tuple[list[Row], list[str]]:
    """Returns the rows that a part wrote, and the checks that began and did not end."""
    rows: list[Row] = []
    running: list[str] = []
    lines = path.read_text(errors="replace").split("\n")[:-1] if path.exists() else []  # no half-written last line
    for line in lines:
        try:
            row = json.loads(line)
            part, what = str(row["part"]), str(row["what"])
        except (ValueError, KeyError, TypeError):
            rows.append(_shaped(path.stem, "a row must be an object with part and what", {"ok": False, "detail": line}))
            continue
        if row.get("began"):
            running.append(what)
            continue
        rows.append(_shaped(part, what, row))
        if what in running:
            running.remove(what)
    return rows, running


def _shaped(part: str, what: str, row: Row) -> Row:
    value = row.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    words = {name: str(row.get(name) or "") for name in ("unit", "bar", "detail")}
    return {"part": part, "what": what, "ok": row.get("ok"), "value": value, **words}


def verdict(outcome: Outcome, rows: Sequence[Row], running: Sequence[str]) -> list[Row]:
    """Returns a failed check if the part was cut off, or if it ended badly or silently without a failed check."""
    if outcome.cut_off:
        ended = f"was cut off after {outcome.limit:.0f} s; running: {', '.join(running) or 'nothing that it named'}"
    elif outcome.code == 0 and not rows:
        ended = "ended without reporting anything"
    elif outcome.code == 0 or (outcome.code == 1 and any(row["ok"] is False for row in rows)):
        return []
    else:
        ended = f"ended with exit code {outcome.code}"
    detail = " ".join(outcome.output.split())[-REASON:]
    return [_shaped(outcome.name, f"the part {ended}", {"ok": False, "detail": detail})]


def save(path: Path, value: Any) -> None:
    """Writes the value as JSON: the file is the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(value, indent=1))
    os.replace(beside, path)


# -- the table ----------------------------------------------------------------------------------------------------


def table(about: Row, outcomes: Sequence[Outcome], rows: Sequence[Row]) -> str:
    """Returns the run as text: failed checks, counts by part, what was not run, measurements."""
    failed = [row for row in rows if row["ok"] is False]
    lines = [*_failed(failed), "", *_counts(outcomes, rows), ""]
    left = Counter(f"{row['part']}: not run: {row['detail']}" for row in rows if row["ok"] is row["value"] is None)
    lines += [f"{text} ({count})"[:WIDTH] for text, count in left.most_common(8)]
    numbers = [row for row in rows if row["value"] is not None and (row["unit"], row["ok"]) != ("s", True)]
    lines += [_measured(row) for row in numbers if row["ok"] is not False or row["bar"]]
    return "\n".join([*_as_many_as_fit(lines), "", _about(about)])


def _as_many_as_fit(lines: Sequence[str]) -> list[str]:
    ends = accumulate(len(line) + 1 for line in lines)
    fitting = sum(number < LINES and end <= LETTERS for number, end in enumerate(ends, 1))
    more = [f"... and {len(lines) - fitting} more lines in the JSON file"] if fitting < len(lines) else []
    return [*lines[:fitting], *more]


def _failed(failed: Sequence[Row], most: int = 20) -> list[str]:
    lines = [f"FAILED {row['part']}: {row['what']}: {' '.join(row['detail'].split())[:REASON]}" for row in failed]
    more = [f"... and {len(lines) - most} more failed checks in the JSON file"] if len(lines) > most else []
    return [*lines[:most], *more] or ["No check failed."]


def _counts(outcomes: Sequence[Outcome], rows: Sequence[Row]) -> list[str]:
    lines = [
        f"{'part':12s} {'seconds':>8s} {'limit':>6s} {'passed':>7s} {'failed':>7s} {'not run':>8s} {'measured':>9s}"
    ]
    for outcome in outcomes:
        mine = [row for row in rows if row["part"] == outcome.name]
        passed, failed = (sum(row["ok"] is ok for row in mine) for ok in (True, False))
        left = sum(row["ok"] is None and row["value"] is None for row in mine)
        measured = sum(row["ok"] is None and row["value"] is not None for row in mine)
        note = "  CUT OFF" if outcome.cut_off else ""
        lines.append(
            f"{outcome.name:12s} {outcome.seconds:8.1f} {outcome.limit:6.0f} {passed:7d} {failed:7d} {left:8d} "
            f"{measured:9d}{note}"
        )
    return lines


def _measured(row: Row) -> str:
    value = f"{row['value']:,.4g}" if isinstance(row["value"], int | float) else str(row["value"])
    met = {True: "met", False: "NOT met", None: ""}[row["ok"]]
    bar = f"{row['bar']}: {met}" if row["bar"] and met else row["bar"]
    what = f"{row['part']}: {row['what']}"
    return f"{what[:72]:72s} {value:>9s} {row['unit'][:10]:10s} {bar}"[:WIDTH].rstrip()


def _about(about: Row) -> str:
    card = f"{about['card']}, {about['memory_gb']} GiB, driver {about['driver']}" if about["card"] else "no GPU"
    torch = about["torch"] or "no torch"
    known = "" if torch.split("+")[0] == about["torch_of_the_lock"] else f" (the lock has {about['torch_of_the_lock']})"
    return f"{card}; torch {torch}{known}, CUDA {about['cuda'] or 'none'}, Python {about['python']}, {about['cores']} cores"


# -- all of it ----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Runs the parts, or those that --only names, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, after each part anew")
    parser.add_argument(
        "--only", action="append", choices=[part.name for part in parts], help="may be given repeatedly"
    )
    given = parser.parse_args(arguments)
    ctypes.CDLL(None).prctl(BECOMES_PARENT_OF_ORPHANS, 1, 0, 0, 0)
    about = machine()
    print(_about(about), flush=True)
    outcomes: list[Outcome] = []
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hpo-gpu-", ignore_cleanup_errors=True) as name:
        for part in parts:
            if given.only and part.name not in given.only:
                continue
            print(f"{part.name} ...", flush=True)
            outcomes.append(run(part, part.limit * (1 if about["card"] else PATIENCE), Path(name)))
            found, running = reported(rows_of(part.name, Path(name)))
            rows += [*found, *verdict(outcomes[-1], found, running)]
            if given.json:
                save(given.json, {"machine": about, "parts": [vars(one) for one in outcomes], "rows": rows})
    print(table(about, outcomes, rows), flush=True)
    return 1 if any(row["ok"] is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
