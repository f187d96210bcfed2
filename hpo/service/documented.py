"""What the OpenAPI document says of the routes: tags, errors, security, examples, the description of the whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from hpo import __version__
from hpo.service.models.actions import SubmissionAsked
from hpo.service.models.answer import PROBLEM_EXAMPLE, MakingAnswer, ProblemAnswer
from hpo.service.problems import MEDIA, TITLES

PREFIX = "/api/v1"
EXAMPLES = Path(__file__).with_name("models") / "examples.json"  # of answers: tests/answer_examples.py writes them
ABOUT = """Studies of hyperparameter optimization, side by side: what they did, what it cost, what may be said of them.

Times are seconds since 1970. A number that is not known or not finite is null. Errors are `application/problem+json` whose
`detail` is one sentence. Answers carry an `ETag`; a request with `If-None-Match` is answered with 304 where nothing changed.
An analysis that is being made is answered with 202 and `Retry-After`, and its end is an event of `/events`.
"""
TAGS = [
    {"name": "studies", "description": "The list of studies, and one study: state, plan, definition, runs."},
    {"name": "tables", "description": "Trials, curves, the ledger, failures, and the stored tables whole."},
    {
        "name": "analyses",
        "description": "Comparison and importance: made in the background, kept for each state of a study.",
    },
    {"name": "downloads", "description": "Report, figures, LaTeX, bundle."},
    {"name": "actions", "description": "Submit, stop, go on, archive: for tokens of the role run."},
    {"name": "jobs", "description": "The jobs of the cluster and their logs."},
    {"name": "drafts", "description": "What a study file would do, the schema of study files, the presets."},
    {"name": "access", "description": "Tokens and the audit log: for tokens of the role admin."},
    {"name": "service", "description": "Health, and who asks."},
    {"name": "events", "description": "Server-sent events: what changes, as it changes."},
]
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`: for programs."},
    "session": {
        "type": "apiKey", "in": "cookie", "name": "hpo_session_PORT",
        "description": "The cookie of a session, which the log-in page sets; its name carries the port.",
    },
}  # fmt: skip
ALWAYS = (401, 403, 421, 503)  # what the gate and a store that is away may answer anywhere
ALWAYS_OPEN = (421, 503)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the documentation of the errors that a route may answer with, beside those of every route."""
    return {status: _problem(status) for status in sorted(statuses)}


def _problem(status: int) -> dict[str, Any]:
    example = {**PROBLEM_EXAMPLE, "title": TITLES.get(status, "Error"), "status": status}
    found: dict[str, Any] = {
        "description": TITLES.get(status, "Error"),
        "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}, "example": example}},
    }
    return found | {"headers": {"Retry-After": _seconds()}} if status in (429, 503) else found


def making() -> dict[int | str, dict[str, Any]]:
    """Returns the documentation of 202."""
    return {
        202: {
            "description": "It is being made: ask again after the seconds of Retry-After, or wait for the event `made`.",
            "model": MakingAnswer,
            "headers": {"Retry-After": _seconds()},
        }
    }


def content(media: str, about: str, *others: str) -> dict[int | str, dict[str, Any]]:
    """Returns the documentation of an answer that is a file, in one media type or another."""
    schema = {"type": "string"} if media.startswith("text/") else {"type": "string", "format": "binary"}
    return {200: {"description": about, "content": {kind: {"schema": schema} for kind in (media, *others)}}}


def unchanged() -> dict[int | str, dict[str, Any]]:
    """Returns the documentation of 304."""
    return {304: {"description": "The client has this answer already (If-None-Match)."}}


def _seconds() -> dict[str, Any]:
    return {"description": "Seconds after which to ask again.", "schema": {"type": "string"}}


def document(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    routes = [route for route in app.routes if getattr(route, "include_in_schema", True)]
    found = get_openapi(
        title="HPO Arena", version=__version__, openapi_version="3.1.0", summary="The service over a store",
        description=ABOUT, routes=routes, tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (ProblemAnswer, SubmissionAsked):  # routes name them where FastAPI does not see it
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name, example in json.loads(EXAMPLES.read_text(encoding="utf-8")).items():
        schemas[name].setdefault("examples", [example])
    for unused in ("HTTPValidationError", "ValidationError"):  # this service answers with problems
        schemas.pop(unused, None)
    components["securitySchemes"] = SCHEMES
    found["security"] = [{"bearer": []}, {"session": []}]
    for path in found["paths"].values():
        for operation in path.values():
            _complete(operation)
    return found


def _complete(operation: dict[str, Any]) -> None:
    """Adds what every route may answer with: the gate's refusals, a store that is away, a request that is not valid."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]  # FastAPI's own
    always = ALWAYS_OPEN if operation.get("security") == [] else ALWAYS
    taken = (422,) if operation.get("parameters") or operation.get("requestBody") else ()
    for status in (*always, *taken):
        responses.setdefault(str(status), _problem(status))
    operation["responses"] = dict(sorted(responses.items()))


def methods(app: FastAPI, path: str) -> list[str]:
    """Returns the methods that a path of the document takes; none for another path."""
    for template, operations in document(app)["paths"].items():
        if re.fullmatch(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)), path):
            return [method.upper() for method in operations]
    return []
