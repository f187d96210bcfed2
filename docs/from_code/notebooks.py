"""The notebooks as pages: run from top to bottom, and turned into Markdown with what their cells show.

    python -m docs.from_code.notebooks FOLDER

runs those of docs/notebooks in FOLDER and leaves them there with their outputs. In the repository they have none.
"""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SECONDS = 300  # most for a cell: one runs a study


def sources() -> list[Path]:
    """Returns the notebooks of the documentation."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def run(source: Path, folder: Path) -> Path:
    """Runs a notebook in a folder and writes it there with its outputs. Raises nbclient's error for a cell that fails."""
    import nbformat
    from nbclient import NotebookClient

    os.environ.setdefault(
        "PYDEVD_DISABLE_FILE_VALIDATION", "1"
    )  # the kernel warns on stderr of Python's frozen modules
    notebook: Any = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    made = folder / source.name
    nbformat.write(notebook, made)  # type: ignore[no-untyped-call]
    return made


def page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """Returns a notebook as Markdown, and the pictures of its cells by name."""
    pictures: dict[str, bytes] = {}
    parts = [f'This page is a notebook: <a href="{notebook.name}" download>download it</a>.']
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            parts += _shown(output, f"{notebook.stem}-{number}.png", pictures)
    style = re.search(r"<style>.*?</style>", "".join(parts), re.DOTALL)
    if style:  # each output of a notebook has its own: one is enough for a page
        parts = [part.replace(style[0], "") for part in parts]
        parts.append(style[0])
    head, *rest = parts[1:]
    return "\n\n".join([head, parts[0], *rest]) + "\n", pictures


def _shown(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """Yields an output as Markdown: its picture, its HTML, or its text. What a cell wrote to stderr is left out."""
    data = output.get("data", {})
    if "image/png" in data:
        pictures[name] = b64decode(data["image/png"])
        size = output.get("metadata", {}).get("image/png", {}).get("width")
        yield f"![The figure that the cell draws]({name})" + (f'{{width="{size}"}}' if size else "")
    elif "text/html" in data:
        lines = (line for line in "".join(data["text/html"]).splitlines() if line.strip())
        yield '<div class="output">\n' + "\n".join(lines) + "\n</div>"  # a blank line would end the HTML
    elif text := "".join(data.get("text/plain", "") or (output.get("name") == "stdout" and output["text"]) or ""):
        yield f"```text\n{text.rstrip()}\n```"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for each in sources():
        print(f"ran {run(each, target)}")
