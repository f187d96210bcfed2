"""The page on results: its examples of reading a store run verbatim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.synthetic_study import played, write_study

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "store.md"


def test_the_reading_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(str(tmp_path / "results"), played("digits", methods=("random",), seeds=(0,), budget=32))
    monkeypatch.chdir(tmp_path)
    local, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    *lines, last = local.strip().splitlines()
    names: dict[str, object] = {}
    exec("\n".join([*lines, f"found = {last}"]), names)
    assert isinstance(names["found"], list)
    assert len(names["found"]) > 1
