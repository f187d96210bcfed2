"""How a study was made: its definition, its study file, its plan, its driver's last words. Reads the log alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.api.plan import Plan
from hpo.errors import HpoError
from hpo.report.record_section import command_of
from hpo.service.problems import Problem
from hpo.storage.local import LocalPlace
from hpo.storage.place import Place, place
from hpo.store import StudyData, layout
from hpo.store.errors import StoreError
from hpo.study.stored import file_values, to_yaml
from hpo.study.study import Study
from hpo.study.yaml_file import Document
from hpo.text import one_line, plain

LINES = 100  # of the driver's log
TAIL_BYTES = 64 * 1024


def definition(data: StudyData, uri: str) -> dict[str, Any]:
    """Returns the record of a study, with the last lines of its driver's log. Blocks."""
    return {
        "study": data.name,
        "definition": plain(data.definition),
        "yaml": to_yaml(file_values(data.definition)),
        "command": command_of(data, uri),
        "environment": plain(data.environment),
        "digest": data.digest,
        "warnings": list(data.warnings),
        "journal": _journal(place(uri), data.name),
    }


def _journal(where: Place, study: str) -> list[str]:
    try:
        if isinstance(where, LocalPlace):
            path = where.root / layout.log(study)
            with path.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
                content = stream.read()
        else:
            logs = where.names(layout.logs(study))
            content = ((where.read(logs[-1]) or b"") if logs else b"")[-TAIL_BYTES:]
    except (OSError, StoreError):  # a study without a log, or a log that is gone
        return []
    return content.decode("utf-8", "replace").splitlines()[-LINES:]


def loaded(data: StudyData, allow_code: bool) -> Study:
    """Returns the study, to plan it. Raises Problem 409 where this version cannot, or not without the study's own code."""
    if not allow_code and (name := _own_code(data.definition)):
        raise Problem(
            409,
            f"the plan of {data.name} needs its own code, {name}, which this service does not load; run `hpo check` where "
            "that code is, or start the service with --allow-code",
        )
    try:
        document = Document(Path("study.yaml"), to_yaml(file_values(data.definition)).encode())
        return Study.of(document, Path())
    except HpoError as error:
        raise Problem(409, f"the study must be one that this version can plan, but: {one_line(error)}") from error


def plan(study: Study, estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the study runs, and what that takes."""
    found = Plan.of(study)
    return {
        "study": study.study,
        "rows": [list(row) for row in found.rows],
        "methods": list(found.methods),
        "note": found.note or None,
        "estimate": estimate,
    }


def _own_code(definition: Mapping[str, Any]) -> str | None:
    """Returns the module:Class that a plan would import: a method, or a trainable that tells what its epochs cost."""
    names = [str(method["name"]) for method in definition.get("methods", ())]
    if "cost" in definition["budget"] or definition.get("clock") == "cost":
        names.append(str(definition.get("trainable")))
    return next((name for name in names if ":" in name), None)
