"""The trials table, and one trial. Pure."""

from __future__ import annotations

from typing import Literal

from hpo.service.models.answer import Answer, Cell


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
