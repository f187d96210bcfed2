"""Answers about the way in: who asks, tokens, the audit log, health; and the request for a token."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hpo.service.context import Role
from hpo.service.models.answer import Answer


class HealthAnswer(Answer):
    """The service answers."""

    status: str = "ok"
    """Always `ok`."""


class MeAnswer(Answer):
    """Who the caller is, and what this service is."""

    name: str
    """Name of the token; `anyone` where no token is asked for."""
    role: Role
    """Role of the token."""
    can: list[Role]
    """The role and those it includes."""
    store: str
    """Address of the store that is served."""
    version: str
    """Version of HPO Arena that serves it."""
    cluster: bool
    """Whether the service can submit studies to a cluster."""
    session: bool
    """Whether a session of a browser asks, which can log out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "alice",
                    "role": "run",
                    "can": ["view", "run"],
                    "store": "s3://team/results",
                    "version": "0.5.0",
                    "cluster": True,
                    "session": True,
                }
            ]
        }
    )


class TokenAnswer(Answer):
    """A token, without its secret."""

    name: str
    """Name of the token, which is the owner of the studies that it submits."""
    role: Role
    """Role of the token."""
    created: float | None
    """When it was made, in seconds since 1970; null for that of the service's environment."""
    revocable: bool
    """Whether it can be revoked here: that of the service's environment cannot."""


class TokensAnswer(Answer):
    """All tokens of the service."""

    tokens: list[TokenAnswer]
    """That of the environment first, then by name."""


class NewTokenAnswer(TokenAnswer):
    """A new token with its secret, which is shown this once and not kept."""

    token: str
    """The secret."""


class TokenRequest(BaseModel):
    """A token to make."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"name": "alice", "role": "run"}]},
    )

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._@-]*$")
    """Name of the token: letters, digits, `.`, `_`, `-` and `@`."""
    role: Role = "view"
    """`view` may see everything, `run` may submit and stop its studies too, `admin` may do everything."""


class AuditEntry(Answer):
    """Something that somebody did."""

    time: float
    """When, in seconds since 1970."""
    who: str
    """Name of the token."""
    role: str
    """Its role then."""
    source: str = Field(serialization_alias="from", validation_alias="from")
    """The address that the request came from."""
    what: str
    """What was done."""
    study: str | None
    """The study that it was done to; null where it concerns none."""
    detail: dict[str, Any]
    """What else is known of it."""


class AuditAnswer(Answer):
    """A page of the audit log."""

    entries: list[AuditEntry]
    """What was done, the newest first."""
    next: str | None
    """The `cursor` of the next page; null after the last."""
