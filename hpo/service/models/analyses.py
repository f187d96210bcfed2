"""The analyses: as the command line prints them with `--format json`. Pure."""

from __future__ import annotations

from typing import Any, Literal

from hpo.service.models.answer import Open


class ComparisonAnswer(Open):
    """As `hpo compare STORE --format json` prints it."""

    study: str
    """Name of the study; of several, joined."""
    metric: str
    """What the methods optimize."""
    mode: Literal["max", "min"]
    """Whether the metric is to be large or small."""
    verdict: str
    """What the data allow to be said, in one to three sentences."""
    brief: str
    """The verdict in about five words."""
    runs: list[dict[str, Any]]
    """Every run."""
    methods: list[dict[str, Any]]
    """Every method over its complete runs."""
    tests: list[dict[str, Any]]
    """Every pair of methods."""


class ImportanceAnswer(Open):
    """As `hpo importance STORE --format json` prints it."""

    study: str
    """Name of the study."""
