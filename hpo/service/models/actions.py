"""Actions: a study submitted, stopped, gone on with, archived. Pure."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpo.service.models.answer import Answer
from hpo.service.models.drafts import DIGITS
from hpo.service.models.studies import StateAnswer


class WishesAsked(BaseModel):
    """What a submission asks for beside the study; what is left out is as the study says."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    priority: float | None = Field(default=None, gt=0, le=1_000_000)
    """The study's weight where studies share the cluster."""
    queue: str | None = Field(default=None, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")
    """Wait for a place in this queue, a custom resource of the head."""
    workers: int | None = Field(default=None, ge=1, le=1_000_000)
    """Most trials to train at a time."""
    retries: int | None = Field(default=None, ge=0, le=100)
    """How often the cluster starts the driver again after it was killed; by default never."""
    least: int | None = Field(default=None, ge=0, le=1_000_000)
    """Trials at a time that the study gets first beside others."""
    methods: list[str] | str | None = Field(default=None, max_length=1000)
    """Methods to run, a list or `a,b`."""
    seeds: list[int] | str | None = Field(default=None, max_length=10_000)
    """Seeds to run, a list or `0,1`."""
    budget: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Budget of each run in what the study's counts."""


class SubmissionAsked(WishesAsked):
    """A study to be submitted: its `text`, or its values as `study`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": DIGITS, "retries": 3}]})

    text: str | None = Field(default=None, max_length=300_000)
    """The study file's text: YAML or JSON."""
    study: dict[str, Any] | None = None
    """The study file's values."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.text is None) == (self.study is None):
            raise ValueError(
                f"a submission must have either text or study, but has {'neither' if self.text is None else 'both'}"
            )
        return self


class SubmittedAnswer(Answer):
    """A study that was submitted."""

    study: str
    """Name of the study, or of the suite."""
    studies: list[str]
    """The names of the studies in the store: one, or those of a suite's tasks."""
    job: str
    """Id of the job."""
    series: str
    """Name that all attempts of the job share."""
    owner: str
    """Whose study it is."""
    state: str
    """`queued`."""
    url: str
    """Path of the study's page."""
    page: str
    """URL of the job on Ray's dashboard."""


class ActedAnswer(Answer):
    """A study after an action."""

    study: str
    """Name of the study."""
    state: StateAnswer
    """Where it stands now."""
    archived: bool
    """Whether it is put away."""
    job: str | None
    """Id of the job that was stopped or submitted."""
