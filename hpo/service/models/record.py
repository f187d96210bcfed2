"""How a study was made: its plan and its definition. Pure."""

from __future__ import annotations

from typing import Any

from hpo.service.models.answer import Answer
from hpo.service.models.drafts import ForecastAnswer


class PlanAnswer(Answer):
    """What a study runs, as `hpo check` prints it."""

    study: str
    """Name of the study."""
    rows: list[tuple[str, str]]
    """Names and texts."""
    methods: list[str]
    """The methods with their options."""
    note: str | None
    """How the budget covers a grid."""
    estimate: ForecastAnswer
    """What it takes from its beginning to its end."""


class DefinitionAnswer(Answer):
    """How a study was made and how to make it again."""

    study: str
    """Name of the study."""
    definition: dict[str, Any]
    """Its definition, as the store keeps it."""
    yaml: str
    """The same as a study file."""
    command: str
    """The command that repeats the study."""
    environment: dict[str, Any]
    """Versions, hardware, digest of the data, commit."""
    digest: str
    """Digest of the definition."""
    warnings: list[str]
    """Files of the study that cannot be read."""
    journal: list[str]
    """The last lines of its driver's log."""
