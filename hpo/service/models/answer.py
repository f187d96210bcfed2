"""What all answers have in common: members that are always there, documented where they are declared. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Cell = float | int | str | bool | None
"""A value of a table: a number, a text, a flag, or null for what is unknown or not finite."""


class Answer(BaseModel):
    """An answer, or a part of one. A member that is not known is null; none is left out."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )


class Open(Answer):
    """An answer that may have further members, as the command line's JSON does."""

    model_config = ConfigDict(extra="allow")


class ProblemAnswer(Open):
    """What a request got wrong (RFC 9457). `detail` is one sentence: what must hold, what was got, what to do."""

    type: str
    """Always `about:blank`: the status says what kind of problem it is."""
    title: str
    """The status in words."""
    status: int
    """The status of HTTP."""
    detail: str
    """One sentence."""


class MakingAnswer(Answer):
    """What is answered while an analysis is being made: ask again after the seconds of `Retry-After`."""

    making: bool = True
    """True."""
    what: str
    """What is being made."""
    since: float
    """Since when, in seconds since 1970."""
    etag: str
    """The ETag that the answer will have."""


PROBLEM_EXAMPLE: dict[str, Any] = {
    "type": "about:blank",
    "title": "Not found",
    "status": 404,
    "detail": "the study must be in the store, but results has no 'digit'; did you mean 'digits'?",
}
