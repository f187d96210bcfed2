"""The reference that is generated from the code: current, complete, and refused where a meaning is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from docs.from_code import DOCS, PARTS, environment, filled, stale, study_file, tables
from docs.from_code.command_line import every, of_a_service

ROOT = Path(__file__).parents[2]


def test_the_pages_are_current() -> None:
    assert stale() == [], "write them with `python -m docs.from_code`"


def test_a_page_that_says_something_else_is_found_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = "reference/exit-codes.md"
    (tmp_path / "reference").mkdir()
    text = (DOCS / page).read_text()
    (tmp_path / page).write_text(text.replace("| `70` |", "| `71` |"))
    monkeypatch.setattr("docs.from_code.DOCS", tmp_path)
    assert filled(page) == text != (tmp_path / page).read_text()
    (tmp_path / page).write_text(text.replace("<!-- end of exit codes -->", ""))
    with pytest.raises(ValueError, match="must hold"):
        filled(page)


def test_a_key_without_a_meaning_and_a_meaning_without_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(study_file.STUDY, "seeds")
    monkeypatch.setitem(study_file.STUDY, "sead", "")
    with pytest.raises(ValueError, match=r"without a meaning: \['seeds'\]; no longer there: \['sead'\]"):
        study_file.study()


def test_every_command_and_option_is_in_the_reference() -> None:
    text = (DOCS / "reference/command-line.md").read_text()
    for name, command in {**every(), **of_a_service()}.items():
        part = text.split(f"## hpo {name}\n")[1].split("\n## ")[0]
        assert all(f"`{option}`" in part for parameter in command.params for option in parameter.opts if option[0] == "-"
                   if option != "--help"), name  # fmt: skip


def test_every_environment_variable_of_the_code_is_in_the_reference() -> None:
    folders = ("hpo", "cluster", "trainables", "docker", "deploy")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".sh", ".sbatch")]
    used = {name for path in files for name in re.findall(r"\bHPO_[A-Z]+(?:_[A-Z]+)*\b", path.read_text())}
    assert used == set(environment.VARIABLES) | environment.INTERNAL


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert tables.table(("a",), [("x|y",)]).splitlines()[-1] == r"| x\|y |"
    assert all(PARTS.values())


def test_no_module_beside_mkdocs_hook_takes_the_name_of_pythons_own() -> None:
    """MkDocs puts the hook's folder first on the path, before Python's library."""
    names = {module.stem for module in (DOCS / "from_code").glob("*.py")} - {"__init__", "__main__"}
    assert names & sys.stdlib_module_names == set()
