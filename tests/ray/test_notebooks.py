"""The documentation's notebooks run from top to bottom on a real cluster, and become pages of the site."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from docs.from_code import notebooks

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[2]


@pytest.mark.journey  # `make docs` runs them, too
@pytest.mark.parametrize("source", notebooks.sources(), ids=lambda path: path.stem)
def test_a_notebook_runs_and_becomes_a_page(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))
    made = notebooks.run(source, tmp_path)
    cells = json.loads(made.read_text())["cells"]
    errors = [output for cell in cells for output in cell.get("outputs", ()) if output.get("name") == "stderr"]
    assert errors == [], "a notebook shows its progress, and nothing on standard error"
    text, pictures = notebooks.page(made)
    assert text.startswith("# ")
    assert pictures
    assert all(picture.startswith(b"\x89PNG") and f"({name})" in text for name, picture in pictures.items())
    assert text.count("<style>") == 1
    if "hpo.run(" in text and "quiet" not in text:
        assert "epochs charged" in text.split("hpo.run(")[1].split("```python")[0], "the progress has been shown"


@pytest.mark.parametrize("source", notebooks.sources(), ids=lambda path: path.stem)
def test_the_repository_holds_notebooks_without_outputs(source: Path) -> None:
    cells = [cell for cell in json.loads(source.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    assert f"notebooks/{source.stem}.md" in (ROOT / "mkdocs.yml").read_text()
