"""The parts of the reference that are generated from the code, each between two markers of a page. Imports hpo; pure.

`python -m docs.from_code` writes them into the pages below docs/; with `--check` it writes nothing and names the pages
that are not current. A key, an option or a variable without a meaning in this folder stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.from_code import (
    benchmarks,
    command_line,
    environment,
    exit_codes,
    hosted,
    http_api,
    methods,
    metrics,
    python_api,
    store,
    study_file,
)

DOCS = Path(__file__).parents[1]

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "reference/study-file.md": {"keys of a study": study_file.study, "sections of a study": study_file.sections},
    "reference/command-line.md": {
        "commands": command_line.commands,
        "commands of a service": command_line.remote_commands,
    },
    "reference/python.md": {"names of the API": python_api.reference},
    "reference/methods.md": {"options of methods": methods.options},
    "reference/hosted-methods.md": {"hosted methods": hosted.methods, "hosted libraries": hosted.libraries},
    "reference/store.md": {"tables of a store": store.tables},
    "reference/http.md": {"routes of the service": http_api.routes, "values of the service": http_api.values},
    "reference/exit-codes.md": {"exit codes": exit_codes.table},
    "reference/environment.md": {"environment variables": environment.table},
    "reference/benchmarks.md": {"public benchmarks": benchmarks.known},
    "reference/metrics.md": {"metrics of trainables": metrics.reported, "modes of metrics": metrics.modes},
}
"""Page below docs/ -> name of its markers -> what is between them."""


def filled(page: str) -> str:
    """Returns the page with its generated parts as they should be. Raises ValueError if a marker is missing."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, made in PARTS[page].items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{page} must hold {begin} and {end} once, but it does not")
        head, tail = text[: text.index(begin) + len(begin)], text[text.index(end) :]
        text = f"{head}\n{made().strip()}\n{tail}"
    return text


def stale() -> list[str]:
    """Returns the pages that differ from what the code says now."""
    return [page for page in PARTS if filled(page) != (DOCS / page).read_text(encoding="utf-8")]
