"""The ledger, and failures by reason. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpo.service.models.answer import Answer


class LedgerRow(Answer):
    """What a run may spend, and what it was charged."""

    run: str
    """METHOD/SEED."""
    method: str
    """Label of the method."""
    seed: int
    """Seed of the run."""
    unit: Literal["epochs", "cost"]
    """What budget and charged count."""
    budget: float | None
    """The budget of the run."""
    charged: float
    """What it has been charged."""
    charged_epochs: int
    """Epochs that it has been charged."""
    shared_epochs: int
    """Of these, charged to another run too and trained once."""
    wasted_epochs: int
    """Epochs of its trials trained again after a fault, never charged."""
    train_seconds: float | None
    """Seconds of training of the charged epochs."""
    reason: str | None
    """Why the budget was not used up, where it was not."""


class LedgerAnswer(Answer):
    """The ledger: every run's budget and charges."""

    study: str
    """Name of the study."""
    unit: Literal["epochs", "cost"]
    """What the budgets count."""
    trained_epochs: int
    """Epochs trained, without those trained again after a fault."""
    sentence: str
    """The ledger in a sentence or two."""
    runs: list[LedgerRow]
    """One for each run that has begun."""


class FailureGroup(Answer):
    """Failures of one kind: their reasons differ in numbers, paths and quoted names alone."""

    reason: str
    """The first wording."""
    kind: str
    """invalid, diverged, memory, error or lost."""
    count: int
    """Number of trials."""
    trials: list[str] = Field(max_length=20)
    """The first of them."""


class FailuresAnswer(Answer):
    """The failed trials by reason, the most frequent first."""

    study: str
    """Name of the study."""
    total: int
    """Number of failed trials."""
    groups: list[FailureGroup]
    """One for each reason."""
