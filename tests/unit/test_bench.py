"""Common to all benches: well-formed rows, bars, tables in pages."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(HERE))

import bench  # noqa: E402
import rows  # noqa: E402

ROW = rows.row("ours / theirs", [1.1, 0.9, 1.0], "ratio", "at most 1.2")


def test_a_row_has_median_minimum_and_maximum():
    assert (ROW["median"], ROW["min"], ROW["max"]) == (1.0, 0.9, 1.1)


@pytest.mark.parametrize(
    ("bar", "median", "kept"),
    [
        ("at most 1.2", 1.2, True),
        ("at most 1.2", 1.3, False),
        ("at least 0.5", 0.4, False),
        ("< 2 s", 1.0, True),
        ("< 1,000 MB", 400.0, True),
        ("0.93 to 0.97", 0.95, True),
        ("0.93 to 0.97", 0.98, False),
        ("", 1.0, None),
    ],
)
def test_a_bar_is_met_or_not(bar, median, kept):
    assert bench.met({**ROW, "bar": bar, "median": median}) is kept


def test_of_many_rows_with_the_same_bar_only_the_closest_is_a_headline():
    rows = [{**ROW, "bench": "b", "bar": "at most 2", "median": value} for value in (1.0, 1.9, 0.5, 1.2, 0.1)]
    (shown,) = bench.headlines(rows)
    assert shown["median"] == 1.9
    assert shown["what"].endswith("(the worst of 5)")
    assert bench.headlines(rows[:2]) == rows[:2]
    assert bench.headlines([{**ROW, "bench": "b", "bar": "", "unit": "s"}]) == []


def test_malformed_rows_are_shown_as_errors():
    assert bench.conforming([ROW]) == [ROW]
    assert [row["unit"] for row in bench.conforming({"a": 1.0})] == ["error"]
    assert [row["unit"] for row in bench.conforming([ROW, {"what": "x"}])] == ["ratio", "error"]


def test_a_bench_that_fails_is_a_row(tmp_path):
    broken = tmp_path / "bench_broken.py"
    broken.write_text("raise SystemExit(3)")
    (found,) = bench.run(broken, True, sys.executable)
    assert (found["bench"], found["what"], found["unit"]) == ("broken", "failed with exit code 3", "error")


SAYS_HOW_IT_WAS_CALLED = """
import sys
sys.path.insert(0, {folder!r})
from rows import command, row, tell
given = command(__doc__{writes}).parse_args()
tell([row("what it was told", [given.quick, getattr(given, "write", -1)], "flags")], given.json)
"""


@pytest.mark.parametrize(("writes", "least"), [("", -1.0), (", writes=True", 1.0)])
def test_a_bench_gets_only_options_that_it_has(tmp_path, writes, least):
    """Only benches that declare that they write pages get --write."""
    fine = tmp_path / "bench_fine.py"
    fine.write_text(SAYS_HOW_IT_WAS_CALLED.format(folder=str(HERE), writes=writes))
    assert bench.pages(fine) is bool(writes)
    (found,) = bench.run(fine, True, sys.executable, put=True)
    assert (found["bench"], found["quick"], found["max"], found["min"]) == ("fine", True, 1.0, least)


@pytest.mark.parametrize("path", sorted(HERE.glob("bench_*.py")), ids=lambda path: path.stem)
def test_every_bench_has_the_common_command_line(path):
    """Checks the source: starting every bench would import torch and Ray some twenty times."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    called = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
    assert {"command", "tell"} <= called


def test_rows_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "rows.json"
    rows.save(path, [ROW])
    with pytest.raises(TypeError):
        rows.save(path, [ROW, object()])
    assert json.loads(path.read_text()) == [ROW]
    assert rows.command("about").parse_args(["--quick"]).json is None


def test_the_page_shows_ratios_and_bars_and_on_what_they_were_measured():
    about = {"bench": "replay", "quick": True, "unix_time": 1.8e9, "load": 0.1}
    whole = {
        "machine": bench.machine(sys.executable),
        "rows": [{**about, **ROW}, {**about, **ROW, "unit": "s", "bar": ""}],
    }
    text = bench.page(whole)
    assert text.count("| replay |") == 1
    assert "at most 1.2: met" in text
    assert f"{whole['machine']['cores']} cores" in text
    assert "`--quick`" in text


def test_a_table_replaces_the_text_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- t -->\nold\n<!-- end of t -->\nafter\n")
    for _ in range(2):
        rows.write(page, "t", rows.markdown(("a", "b"), [(1, 2)]))
    assert page.read_text() == "before\n<!-- t -->\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n<!-- end of t -->\nafter\n"
    with pytest.raises(ValueError, match="must hold <!-- u -->"):
        rows.write(page, "u", "x")
