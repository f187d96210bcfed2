"""Studies: a line of the list, and a page of it. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpo.service.models.answer import Answer
from hpo.store.state import Word


class StateAnswer(Answer):
    """Where a study stands, in one word that is the same everywhere."""

    word: Word
    """The state."""
    since: float | None
    """Since when, in seconds since 1970; for `no sign of life`, the last sign of it."""
    sentence: str
    """The state in a sentence."""
    command: str | None
    """The command that goes on with the study; null where nothing is left to do."""


class BudgetAnswer(Answer):
    """What the runs may spend, and what they have been charged."""

    unit: Literal["epochs", "cost"]
    """What the budget counts."""
    a_run: float | None
    """The budget of a run."""
    total: float | None
    """The budget of all runs together."""
    charged: float
    """What all runs have been charged."""


class BestAnswer(Answer):
    """The best value that any run was charged for."""

    method: str
    """The method that found it."""
    value: float | None
    """The value of the study's metric."""
    trial: str | None
    """The trial that gave it."""


class SummaryAnswer(Answer):
    """A study in a line of the list."""

    study: str
    """Name of the study."""
    suite: str | None
    """The suite that it is a task of."""
    archived: bool
    """Whether it is put away: the list shows it only when asked."""
    owner: str | None
    """Who it belongs to."""
    priority: float | None
    """Its share of a cluster against those of other studies."""
    state: StateAnswer
    """Where it stands."""
    task: str | None
    """The data and the model, in a few words."""
    trainable: str | None
    """What trains an epoch."""
    metric: str
    """What its methods optimize."""
    mode: Literal["max", "min"]
    """Whether the metric is to be large or small."""
    methods: list[str]
    """The methods' labels."""
    seeds: int
    """Number of seeds."""
    runs: int
    """Number of runs: methods x seeds."""
    runs_complete: int
    """Runs that are complete."""
    budget: BudgetAnswer
    """What the runs may spend and have been charged."""
    progress: float = Field(ge=0, le=1)
    """The share of the budget that is settled: 1 where every run is complete."""
    best: BestAnswer | None
    """The best value so far; null before the first."""
    verdict: str | None
    """The verdict in about five words; null where there is nothing to compare."""
    failed_trials: int
    """Number of trials that failed."""
    trained_epochs: int
    """Epochs trained, without those trained again after a fault: runs share trainings."""
    left_epochs: int | None
    """Epochs that its driver has still to train, at most; null where none plays it."""
    seconds_left: float | None
    """How long its driver will take for them; null where that is not known."""
    began: float | None
    """When the study began, in seconds since 1970."""
    updated: float | None
    """When anything of it last changed, in seconds since 1970."""
    sign_of_life: float | None
    """When its driver was last seen, in seconds since 1970."""


class StudiesAnswer(Answer):
    """A page of the list of studies."""

    studies: list[SummaryAnswer]
    """The studies of this page, in the order asked for."""
    total: int
    """Number of studies that the filters let through, on all pages."""
    next: str | None
    """The cursor of the next page; null on the last one."""
    counts: dict[str, int]
    """State -> number of studies in it that the other filters let through."""
    owners: list[str]
    """All owners of studies in the store."""
    suites: list[str]
    """All suites in the store."""
