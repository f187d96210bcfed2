"""The OpenAPI document, and the service held to it: requests made from the document, answers checked against it.

The long run, some minutes: HPO_TEST_EXAMPLES=100 python -m pytest tests/unit/test_openapi.py
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis.errors import InvalidArgument, Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from hpo.service import documented
from hpo.service.access import Access, Sessions, Tokens
from hpo.service.app import application
from hpo.service.connections import HEADER_BYTES
from tests.answer_examples import answers
from tests.serving import API, context, serving
from tests.synthetic_study import played, write_study

SECRET = "a-token-of-some-length"
ENDLESS = ("/events", "/follow")  # streams, which have tests of their own
EXAMPLES = int(os.environ.get("HPO_TEST_EXAMPLES", "1"))  # of each route, of either kind; the long run: 100
# A column, a cursor or a name is any text for the document, and the service refuses what is none: that is no mistake.
LENIENT = ("positive_data_acceptance", "max_response_time")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("openapi")
    write_study(str(folder / "results"), played("digits", budget=32, seeds=(0,)))
    access = Access(Tokens(folder / "tokens.json", environment=SECRET), Sessions(folder / "sessions.json"))
    with serving(context(folder / "results", folder / "cache", access=access)) as port:
        yield port


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("document")
    return documented.document(application(context(folder / "results", folder / "cache")))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_says_of_each_route_what_it_is_and_how_it_is_refused(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    known = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= known, name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])
        assert {"421", "503"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if status.startswith(("4", "5")):
                assert set(response["content"]) == {"application/problem+json"}, (name, status)
    for title, schema in document["components"]["schemas"].items():
        if title == "SchemaAnswer":
            continue  # a JSON schema, whose words are JSON Schema's
        for member, about in schema.get("properties", {}).items():
            assert "description" in about or "$ref" in about, (title, member)
    assert set(document["components"]["securitySchemes"]) == {"bearer", "session"}


def test_every_answer_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    names = answers(document).keys() - {"SchemaAnswer"}  # which is a schema itself
    assert {"StudiesAnswer", "TrialsAnswer", "JobAnswer", "SubmittedAnswer", "AuditAnswer"} <= names
    for name in names:
        (example,) = schemas[name]["examples"]
        validator = jsonschema.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        )
        assert [error.message for error in validator.iter_errors(example)] == [], name


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (item for key, item in value.items() if key == "$ref")
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    assert set(references(document)) <= known


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_service_keeps_to_its_document(served: int, mode: GenerationMode) -> None:
    load_all_checks()
    url = f"http://127.0.0.1:{served}"
    headers = {"Authorization": f"Bearer {SECRET}", "Origin": url}
    schema = schemathesis.openapi.from_url(f"{url}{API}/openapi.json", headers=headers)
    refusing = schema.config.checks.negative_data_rejection
    refusing.expected_statuses = [*refusing.expected_statuses, "413"]  # a text may be too long for any body
    checks = [check for check in CHECKS.get_all() if getattr(check, "__name__", "") not in LENIENT]
    known = [found.ok() for found in schema.get_all_operations()]
    asked = [operation for operation in known if not operation.path.endswith(ENDLESS)]
    assert len(asked) > 35
    for operation in asked:
        _ask(operation, mode, headers, checks)


def _ask(operation: Any, mode: GenerationMode, headers: dict[str, str], checks: list[Any]) -> None:
    try:
        cases = operation.as_strategy(generation_mode=mode)
    except InvalidArgument:
        return  # nothing of it can be wrong
    options = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

    @seed(1)
    @settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate], **options)
    @given(case=cases)
    def ask(case: schemathesis.Case) -> None:
        assume(len(urlencode(case.query or {}, doseq=True)) < HEADER_BYTES // 2)  # a longer one is cut off, not read
        if mode is GenerationMode.POSITIVE and "study" in (case.path_parameters or {}):
            case.path_parameters["study"] = "digits"  # else there would be no study to answer with
        case.call_and_validate(headers=headers, checks=checks, timeout=30)

    with contextlib.suppress(Unsatisfiable):  # an operation without parameters has no request that is wrong
        ask()
