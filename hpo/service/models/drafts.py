"""Drafts: a study's text that is being written, what is wrong with it, what it would run. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.service.models.answer import Answer

DIGITS = """study: digits-small
data: {name: digits}
model: {name: digits_net}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.03, log: true}
fixed: {batch_size: 8, image_size: 32}
budget: {epochs: 64, max_epochs: 8}
methods: [random, asha]
"""
"""An example of a study's text."""


class DraftAsked(BaseModel):
    """A study's text to be checked."""

    model_config = ConfigDict(
        extra="forbid", strict=True, use_attribute_docstrings=True, json_schema_extra={"examples": [{"text": DIGITS}]}
    )

    text: str = Field(max_length=300_000)
    """The study file's text: YAML or JSON."""
    workers: int | None = Field(default=None, ge=1, le=1_000_000)
    """Most trials at a time, for the estimate."""


class FoundAnswer(Answer):
    """Something wrong with a text."""

    line: int
    """Line, from 1."""
    column: int
    """Column, from 1."""
    message: str
    """What must hold, what was got, what to do: as `hpo check` says it."""
    kind: Literal["invalid", "forbidden", "taken", "away"]
    """`invalid`: no study; `forbidden`: this service does not allow it; `taken`: the store has another study of that name;
    `away`: the store does not answer, which says nothing about the study."""


class OutlineAnswer(Answer):
    """A plan, as `hpo check` prints it."""

    rows: list[tuple[str, str]]
    """Names and texts."""
    methods: list[str]
    """A line for each method, with its options."""
    note: str | None
    """How the budget covers a grid."""


class ForecastAnswer(Answer):
    """What a study will take, judged by the last studies of the same trainable, data and model."""

    epochs: int
    """Most epochs to train."""
    slots: int | None
    """Trials at a time that the cluster's nodes hold now; null where nobody knows."""
    seconds_an_epoch: float | None
    """Mean time of an epoch; null without epochs to judge by."""
    seconds: float | None
    """How long it takes on those slots; null where neither they nor the most trials at a time are known."""
    gpu_hours: float | None
    """Hours of GPUs; null without GPUs."""
    studies: list[str]
    """The studies judged by."""


class CheckAnswer(Answer):
    """What a check found."""

    ok: bool
    """Whether the study could be submitted."""
    problems: list[FoundAnswer]
    """All that is wrong and could be told apart; empty where `ok`."""
    study: str | None
    """Name of the study, or of the suite."""
    plan: OutlineAnswer | None
    """What it would run; null where it is not `ok`."""
    estimate: ForecastAnswer | None
    """What it would take; null where it is not `ok`."""


class PresetLine(Answer):
    """A study that comes with the package."""

    name: str
    """Its name."""
    about: str
    """What it is."""


class PresetsAnswer(Answer):
    """The studies that come with the package."""

    presets: list[PresetLine]
    """In the order of their names."""


class PresetAnswer(Answer):
    """A preset's text."""

    name: str
    """Its name."""
    text: str
    """The study file."""


class SchemaAnswer(BaseModel):
    """A JSON schema (draft 2020-12) of a study file."""

    model_config = ConfigDict(extra="allow")

    properties: dict[str, Any]
    """The keys of a study file."""
