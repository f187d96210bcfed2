"""What charts are drawn from: parallel coordinates, learning curves, anytime curves. Pure."""

from __future__ import annotations

from typing import Literal

from hpo.service.models.answer import Answer

Pair = tuple[float, float | None]


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
