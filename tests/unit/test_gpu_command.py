"""`make gpu`: whatever a part does, the others run, what was reported is kept, and the table and the JSON file are whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "gpu"
sys.path.insert(0, str(HERE))  # for this import alone: its conftest.py is not the one that other tests mean

import gpu  # noqa: E402

sys.path.remove(str(HERE))

REPORT = """
import json, os, subprocess, sys, time
def tell(what, **row):
    with open(os.environ["HPO_GPU_ROWS"], "a") as file:
        file.write(json.dumps({"part": os.environ["HPO_GPU_PART"], "what": what, **row}) + "\\n")
"""
FINE = (
    REPORT + "tell('one', ok=True, value=0.2, unit='s'); tell('speed', value=float('nan'), unit='images/s', bar='>= 1')"
)
HANGS = (
    REPORT
    + """
tell('before', ok=True, value=0.1, unit='s')
tell('the slow check', began=True)
open(os.environ["HPO_GPU_ROWS"], "a").write('{"part": "hangs", "wh')
lives = "import os, pathlib, time; pathlib.Path(os.environ['PIDS'], str(os.getpid())).touch(); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", lives])
subprocess.Popen([sys.executable, "-c", lives], start_new_session=True)
time.sleep(600)
"""
)
CRASHES = REPORT + "print('about to crash'); sys.stdout.flush(); os.kill(os.getpid(), 11)"
FAILS = REPORT + "tell('two', ok=False, value=1.0, unit='s', detail='x' * 1000); sys.exit(1)"
SILENT = "pass"
STARTS = """
import sys
sys.path.insert(0, {here!r})
import gpu
gpu.PATIENCE = 1
gpu.machine = lambda: {about!r}
parts = [gpu.Part(name, [sys.executable, "-c", code], limit) for name, code, limit in {parts!r}]
sys.exit(gpu.main(sys.argv[1:], parts))
"""
ABOUT = {
    "card": "", "memory_gb": 0, "torch": "2.11.0+cu130", "cuda": "13.0", "driver": "", "torch_of_the_lock": "2.14.1",
    "python": "3.12.3", "cores": 2,
}  # fmt: skip

Parts = list[tuple[str, str, float]]


def played(folder: Path, parts: Parts, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The command as a process of its own, which becomes the parent of orphans; and its JSON file."""
    (folder / "pids").mkdir(exist_ok=True)
    code = STARTS.format(here=str(HERE), about=ABOUT, parts=parts)
    answer = subprocess.run(
        [sys.executable, "-c", code, "--json", str(folder / "new" / "gpu.json"), *arguments],
        capture_output=True, text=True, timeout=100, env={**os.environ, "PIDS": str(folder / "pids")}, check=False,
    )  # fmt: skip
    return answer, json.loads((folder / "new" / "gpu.json").read_text(), parse_constant=pytest.fail)


def of(found: dict[str, Any], part: str) -> dict[str, Any]:
    return {row["what"]: row["ok"] for row in found["rows"] if row["part"] == part}


def test_a_part_that_hangs_is_killed_with_its_children_and_what_it_reported_is_kept(tmp_path: Path) -> None:
    answer, found = played(tmp_path, [("hangs", HANGS, 6.0), ("fine", FINE, 60.0)])
    cut = "the part was cut off after 6 s; running: the slow check"
    assert of(found, "hangs") == {"before": True, cut: False}
    assert of(found, "fine") == {"one": True, "speed": None}, "a half-written line spoils no other"
    children = [int(pid.name) for pid in (tmp_path / "pids").iterdir()]
    assert len(children) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in children), "with those in a session of their own"
    assert [(part["name"], part["cut_off"]) for part in found["parts"]] == [("hangs", True), ("fine", False)]
    assert answer.returncode == 1
    assert f"FAILED hangs: {cut}" in answer.stdout
    assert "torch 2.11.0+cu130 (the lock has 2.14.1)" in answer.stdout


def test_parts_that_crash_fail_or_say_nothing_hide_no_other(tmp_path: Path) -> None:
    parts = [("crashes", CRASHES, 60.0), ("silent", SILENT, 60.0), ("fails", FAILS, 60.0), ("fine", FINE, 60.0)]
    answer, found = played(tmp_path, parts)
    assert of(found, "crashes") == {"the part ended with exit code -11": False}
    assert of(found, "silent") == {"the part ended without reporting anything": False}
    assert of(found, "fails") == {"two": False}, "a failed check says it already"
    assert of(found, "fine") == {"one": True, "speed": None}
    assert answer.returncode == 1
    assert "FAILED crashes: the part ended with exit code -11: about to crash" in answer.stdout
    assert f"FAILED fails: two: {'x' * gpu.REASON}\n" in answer.stdout
    assert len(answer.stdout.splitlines()) < 40


def test_only_the_parts_that_are_asked_for_run_and_all_well_is_exit_code_0(tmp_path: Path) -> None:
    answer, found = played(tmp_path, [("fails", FAILS, 60.0), ("fine", FINE, 60.0)], "--only", "fine")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [part["name"] for part in found["parts"]] == ["fine"]
    assert [row["value"] for row in found["rows"]] == [0.2, "nan"]
    assert "No check failed." in answer.stdout


def test_the_table_stays_short_and_the_failed_checks_come_first() -> None:
    rows = [
        gpu._shaped("p", f"measurement {i}", {"value": i / 3, "unit": "images/s", "bar": ">= 2"}) for i in range(500)
    ]
    rows += [gpu._shaped("p", f"check {i}", {"ok": False, "detail": "why " * 500}) for i in range(50)]
    rows += [gpu._shaped("p", f"left {i}", {"ok": None, "detail": "no GPU"}) for i in range(9)]
    text = gpu.table(ABOUT, [gpu.Outcome("p", 1.0, 2.0, 1, False, "")], rows)
    lines = text.splitlines()
    assert len(lines) < 110
    assert len(text) < 12_000
    assert lines[0].startswith("FAILED p: check 0: why why")
    assert "p: not run: no GPU (9)" in lines
    assert "more lines in the JSON file" in text


def test_a_row_that_is_none_is_a_failed_check(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"part": "p", "what": "a", "ok": true}\n[1]\nnonsense\n{"what": "b"}\n')
    rows, running = gpu.reported(path)
    assert [row["ok"] for row in rows] == [True, False, False, False]
    assert running == []


CHECKS = """
import pytest
def test_fine(measured):
    measured("a ratio", 1.5, "ratio", "at least 1", True)
def test_wrong():
    assert [1] == [2], "one is not two"
def test_left():
    pytest.skip("no GPU")
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_checks_report_what_became_of_them_also_from_xdist_s_workers(tmp_path: Path, workers: str) -> None:
    (tmp_path / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(CHECKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        workers,
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    environment = {**os.environ, "HPO_GPU_ROWS": str(tmp_path / "rows"), "HPO_GPU_PART": "p"}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 1, answer.stdout
    rows, running = gpu.reported(tmp_path / "rows")
    found = {row["what"]: row for row in rows}
    assert {name: row["ok"] for name, row in found.items()} == {
        "test_fine": True, "a ratio": True, "test_wrong": False, "test_left": None,
    }  # fmt: skip
    assert found["test_left"]["detail"] == "no GPU"
    assert found["test_left"]["value"] is None
    assert "one is not two" in found["test_wrong"]["detail"].splitlines()[0]
    assert (found["a ratio"]["value"], found["a ratio"]["bar"]) == (1.5, "at least 1")
    assert running == []
