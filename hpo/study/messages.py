"""What is wrong with a study file, as one sentence with its place in the file. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.errors import HpoError, StudyError
from hpo.study.domains import InvalidSpace
from hpo.study.yaml_file import Document
from hpo.text import cut, nearest, shown

LONGEST = 800  # characters of a sentence about a study, however long the names and values in it

# pydantic puts the member of a union that it tried among the keys of a location
_UNION_MEMBERS = frozenset({"str", "int", "float", "bool", "dict[str,nullable[dict[str,any]]]"})


class Located(HpoError):
    """What is wrong, and the keys that lead to it in the study file."""

    def __init__(self, location: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.location = tuple(location)


class at:  # reads as a preposition: `with at("space", name):`
    """Turns an InvalidSpace raised in its block into a Located, with the keys that lead to the cause."""

    def __init__(self, *location: str | int, prefix: str = "") -> None:
        self.location, self.prefix = location, prefix

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidSpace):
            raise Located(self.location, f"{self.prefix}{error}") from None


@contextmanager
def one_sentence(document: Document | None, fields: Mapping[str, Any]) -> Iterator[None]:
    """Turns what its block finds wrong with a study into a StudyError, with its place where the study has a document.

    `fields`: those of the model that is validated.
    """
    try:
        yield
    except ValidationError as error:
        found = _described(error, fields)
    except Located as error:
        found = [(error.location, str(error))]
    else:
        return
    sentences = [
        f"{document.place(location)}: {cut(message, LONGEST)}" if document else cut(message, LONGEST)
        for location, message in found
    ]
    raise StudyError(sentences[0], tuple(sentences[1:]))


def _described(error: ValidationError, fields: Mapping[str, Any]) -> list[tuple[Sequence[str | int], str]]:
    """Returns the place and the description of each problem, in the order of `ordered`."""
    return [_placed(problem, fields) for problem in ordered(error)]


def _placed(problem: Any, fields: Mapping[str, Any]) -> tuple[Sequence[str | int], str]:
    location = [part for part in problem["loc"] if not (isinstance(part, str) and part in _UNION_MEMBERS)]
    for part in location[:-1]:
        section = fields.get(str(part))
        annotation = getattr(section, "annotation", None)
        choices = [annotation, *getattr(annotation, "__args__", ())]
        fields = next((c.model_fields for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), {})
    return location, explain(problem, fields, ".".join(map(str, location[:-1])))


def ordered(error: ValidationError) -> list[Any]:
    """Returns the problems; a misspelt key comes before the key that is missing because of it."""
    return sorted(error.errors(), key=lambda problem: problem["type"] == "missing")


def first(error: ValidationError) -> Any:
    """Returns the first problem of `ordered`."""
    return ordered(error)[0]


def explain(problem: Any, fields: Mapping[str, Any], section: str) -> str:
    """Describes one of pydantic's problems: what must hold, what was found, which name was probably meant."""
    kind, got, context = problem["type"], problem.get("input"), problem.get("ctx") or {}
    name = ".".join(str(p) for p in problem["loc"] if p not in _UNION_MEMBERS) or "the study"
    last = str(problem["loc"][-1]) if problem["loc"] else ""
    if kind == "extra_forbidden":
        valid = [f.alias or n for n, f in fields.items() if n != "folder"]
        return f"unknown key {shown(last)}{f' in {section}' if section else ''}; {nearest(last, valid)}"
    if problem["loc"] and problem["loc"][-1] in _UNION_MEMBERS and isinstance(got, list | dict):
        return f"{name} must be a single value, but got {shown(got)}"
    if kind == "missing":
        return f"{name} must be given, but it is missing"
    if kind in ("greater_than_equal", "greater_than"):
        sign, bound = (">=", context.get("ge")) if kind == "greater_than_equal" else (">", context.get("gt"))
        return f"{name} {sign} {bound} must hold, but got {shown(got)}"
    if kind == "less_than_equal":
        return f"{name} <= {context.get('le')} must hold, but got {shown(got)}"
    if kind == "value_error":
        return str(context.get("error", problem["msg"]))
    if kind == "string_pattern_mismatch" and context.get("pattern") == r"\S":
        return f"{name} must not be blank, but got {shown(got)}"
    if kind == "string_pattern_mismatch":
        return f"{name} must be letters, digits, '.', '_' and '-', but got {shown(got)}"
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}, but got {shown(got)}"
