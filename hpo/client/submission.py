"""A submission as the service is sent it: the study's text, the options beside it, and the files that come along. Reads files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from hpo.api.study import Study
from hpo.client.files import zipped
from hpo.errors import StudyError
from hpo.study.finding import find
from hpo.study.yaml_file import Document
from hpo.text import one_line


class Wishes(TypedDict, total=False):
    """What a submission asks for beside the study; what is left out is as the study says.

    workers: the most trials at a time; least: those that it gets first. retries: how often a driver that was killed is
    started again. files: a folder with code of the study's own, or a zip of it.
    """

    files: str | Path | None
    priority: float | None
    queue: str | None
    workers: int | None
    retries: int | None
    least: int | None
    methods: Sequence[str] | None
    seeds: Sequence[int] | None
    budget: int | None


def text_of(study: Study | str | Path) -> str:
    """Returns the text of a study file: of a Study, of a file as it is, or of a preset. Raises StudyError."""
    if isinstance(study, Study):
        return study.to_yaml()
    path, _ = find(study)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"a study file must be readable UTF-8 text, but {path} is not: {one_line(error)}; `hpo studies` lists the presets"
        ) from None


def has_tasks(text: str) -> bool:
    """Tells whether a study's text is that of a suite; not so where it cannot be read, which the service will say."""
    try:
        return "tasks" in Document(Path("study.yaml"), text.encode()).values
    except StudyError:
        return False


def body(text: str, wishes: Wishes) -> dict[str, Any]:
    """Returns a request's body: JSON, or a form where files come along."""
    options = {name: value for name, value in wishes.items() if value is not None and name != "files"}
    options = {name: list(value) if isinstance(value, tuple | range) else value for name, value in options.items()}
    if (files := wishes.get("files")) is None:
        return {"json": {"text": text, **options}}
    return {
        "data": {"text": text, **_fields(options)},
        "files": {"files": ("files.zip", zipped(files), "application/zip")},
    }


def _fields(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in options.items()
    }
