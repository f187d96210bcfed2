"""The Python API that users' code relies on: a name that leaves it, or changes its signature, is noticed before a release."""

from __future__ import annotations

import difflib
from pathlib import Path

import public_api

ROOT = Path(__file__).parents[2]


def test_the_public_api_is_as_recorded() -> None:
    recorded = public_api.RECORD.read_text().splitlines()
    changes = [line for line in difflib.ndiff(recorded, public_api.lines()) if line[0] in "+-"]
    told = "renew the record with `make api`; docs/reference/compatibility.md says what may change and when"
    assert not changes, "\n".join([*changes, told])


def test_every_module_that_the_documentation_imports_is_recorded() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    taken = set().union(*(public_api.documented(page.read_text()) for page in pages))
    assert {"hpo.game.contract", "trainables.contract"} <= taken
    assert taken <= set(public_api.PUBLIC), sorted(taken - set(public_api.PUBLIC))


def test_a_changed_default_and_a_lost_method_change_the_record(monkeypatch) -> None:
    from trainables.task import Task

    before = public_api.lines()
    monkeypatch.delattr(Task, "to_json")
    monkeypatch.setattr(Task, "from_json", classmethod(lambda cls, values, strict=True: cls()))
    after = public_api.lines()
    assert set(before) - set(after) == {
        "trainables.task.Task.from_json(cls, values: Mapping[str, Any]) -> Task",
        "trainables.task.Task.to_json(self) -> dict[str, Any]",
    }
    assert set(after) - set(before) == {"trainables.task.Task.from_json(cls, values, strict=True)"}
