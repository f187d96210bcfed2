"""What the tables of a study answer: trials, one trial, parallel coordinates, curves, anytime curves. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpo.service.models.answer import Answer, Cell

Pair = tuple[float, float | None]


class ColumnAnswer(Answer):
    """A column of the trials table."""

    name: str
    """Its name, which `where` and `sort` take."""
    kind: Literal["text", "whole", "real", "flag"]
    """What its cells are."""
    label: str
    """Its heading."""
    hyperparameter: bool
    """Whether it is a hyperparameter of the configuration."""
    values: list[Cell] | None
    """All values that it can have, where these are few; null otherwise."""
    low: float | None
    """Least number in the column; null for texts."""
    high: float | None
    """Largest number in the column."""
    log: bool
    """Whether it is searched on a logarithmic scale."""


class TrialsAnswer(Answer):
    """A page of the trials of all runs: a trial that several runs asked for has a row for each."""

    study: str
    """Name of the study."""
    total: int
    """Number of rows before any filter."""
    matched: int
    """Number of rows that the filters let through."""
    offset: int
    """Place of the first row of this page."""
    columns: list[ColumnAnswer]
    """The columns, in the order of the cells."""
    rows: list[list[Cell]]
    """The rows of this page."""


class AskedAnswer(Answer):
    """A run that asked for a trial."""

    run: str
    """METHOD/SEED."""
    method: str
    """Label of the method."""
    seed: int
    """Seed of the run."""
    number: int
    """The trial's number in the run, from 0."""
    status: str
    """running, paused, stopped, completed or failed."""
    epochs: int
    """Epochs that the run was charged for."""
    best_epoch: int | None
    """The epoch of the best value that it was charged for."""
    best_value: float | None
    """That value."""
    incumbent: bool
    """Whether it won the run."""
    first_order: int | None
    """Place of its first charge in the order of the run's events; null before it."""
    last_order: int | None
    """Place of its last charge."""
    began: float | None
    """Virtual time of its first charge, in ticks."""
    ended: float | None
    """Virtual time of its last charge, in ticks."""


class AttemptAnswer(Answer):
    """A time that an epoch was trained."""

    epoch: int
    """The epoch."""
    attempt: int
    """0: it counts; higher: trained again after a fault."""
    worker: str | None
    """host:pid that trained it."""
    seconds: float | None
    """How long it took."""
    finished: float | None
    """When its result arrived, in seconds since 1970."""


class FailureAnswer(Answer):
    """Why a trial failed."""

    epoch: int
    """Epochs that it had trained."""
    kind: str
    """invalid, diverged, memory, error or lost."""
    reason: str | None
    """One sentence."""


class TrialAnswer(Answer):
    """A trial: a configuration and its learning curve, whoever asked for it."""

    study: str
    """Name of the study."""
    trial: str
    """Digest of task, configuration, seed and max_epochs."""
    config: dict[str, Cell]
    """Its configuration."""
    status: str
    """How far it came in the run that took it furthest."""
    epochs: int
    """Epochs trained."""
    best_epoch: int | None
    """The epoch of its best value."""
    best_value: float | None
    """Its best value."""
    curve: dict[str, list[Cell]]
    """`epoch` and every metric: one value for each epoch, of its first training."""
    runs: list[AskedAnswer]
    """The runs that asked for it."""
    attempts: list[AttemptAnswer]
    """Epochs trained again after a fault."""
    worker: str | None
    """host:pid of its last epoch."""
    seconds: float | None
    """Seconds of training in all."""
    failure: FailureAnswer | None
    """Why it failed; null where it did not."""
    checkpoint: str | None
    """Where its newest checkpoint lies, below the store; null for none."""
    command: str
    """The configuration as Python: `config = {...}`."""
    yaml: str
    """The configuration as YAML."""


class DimensionAnswer(Answer):
    """An axis of the parallel coordinates."""

    name: str
    """The hyperparameter, or the metric at the last axis."""
    kind: Literal["range", "choice"]
    """What stands on it."""
    values: list[str] | None
    """The values of a choice, in the order of their places 0, 1, ...; null for a range."""
    low: float | None
    """Lower end."""
    high: float | None
    """Upper end."""
    log: bool
    """Whether its scale is logarithmic."""


class LineAnswer(Answer):
    """A trial of a run in parallel coordinates."""

    trial: str
    """The trial."""
    run: str
    """METHOD/SEED."""
    values: list[float | None]
    """Its place on each axis: the value of a range, the number of a choice's value; null where it does not have it."""
    best: bool
    """Whether it won a run."""


class ParallelAnswer(Answer):
    """Parallel coordinates: the hyperparameters and the metric of trials, spread evenly where there are many."""

    study: str
    """Name of the study."""
    total: int
    """Number of trials with a value."""
    dimensions: list[DimensionAnswer]
    """The axes."""
    rows: list[LineAnswer]
    """The lines."""


class CurveAnswer(Answer):
    """A learning curve, as far as a run was charged for it."""

    trial: str
    """The trial."""
    run: str
    """METHOD/SEED."""
    epochs: list[int]
    """The epochs."""
    values: list[float | None]
    """The metric after each."""
    rungs: list[int]
    """Epochs at which the run's schedule compares trials, as far as the curve goes."""
    pauses: list[int]
    """Epochs after which the trial waited for other trials."""
    promotions: list[int]
    """Epochs after which it went on when the others had been seen."""
    status: str
    """running, paused, stopped, completed or failed."""
    best: bool
    """Whether it won its run."""


class CurvesAnswer(Answer):
    """Learning curves, spread evenly over a run's trials where there are many; those of winners are always there."""

    study: str
    """Name of the study."""
    metric: str
    """What the values are."""
    metrics: list[str]
    """What may be asked for."""
    total: int
    """Number of curves that the filters let through."""
    curves: list[CurveAnswer]
    """The curves."""


class BandAnswer(Answer):
    """A method's anytime curve over its runs: the mean of the best value so far, with its 95 percent interval."""

    method: str
    """Label of the method."""
    x: list[float]
    """Epochs, cost or seconds."""
    mean: list[float | None]
    """The mean at each."""
    low: list[float | None]
    """Lower end of the interval; null for a single run."""
    high: list[float | None]
    """Upper end of the interval."""
    runs: int
    """Runs behind it."""
    value: float | None
    """The mean at the end."""


class StepsAnswer(Answer):
    """A run's anytime curve as a step function."""

    run: str
    """METHOD/SEED."""
    method: str
    """Label of the method."""
    seed: int
    """Seed of the run."""
    steps: list[Pair]
    """`[x, value]` wherever the best value so far changes, and at the end."""


class AnytimeAnswer(Answer):
    """The best value so far, by method and by run."""

    study: str
    """Name of the study."""
    metric: str
    """What the values are."""
    mode: Literal["max", "min"]
    """Whether the metric is to be large or small."""
    over: Literal["epochs", "cost", "seconds"]
    """What x counts."""
    unit: Literal["epochs", "cost"]
    """What the study's budget counts."""
    budget: float | None
    """The budget of a run; null over seconds."""
    methods: list[BandAnswer]
    """One for each method with a value, in the study's order."""
    runs: list[StepsAnswer]
    """One for each run with a value."""


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
