"""Studies: a line of the list, one study whole, its runs, its plan, its definition. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from hpo.service.models.answer import Answer, Cell

Word = Literal["queued", "starting", "running", "no sign of life", "stopped", "failed", "complete"]


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


class RunAnswer(Answer):
    """One run: a method with a seed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run": "asha/0", "method": "asha", "seed": 0, "status": "complete", "reason": None,
                    "budget_epochs": 24, "budget_cost": None, "charged_epochs": 24, "charged_cost": None,
                    "wasted_epochs": 0, "best": 0.9417, "incumbent": "1ab89db3ee5e3d8c",
                    "trials": {"completed": 3, "stopped": 5},
                }
            ]
        }
    )  # fmt: skip

    run: str
    """METHOD/SEED."""
    method: str
    """Label of the method."""
    seed: int
    """Seed of the run."""
    status: Literal["waiting", "partial", "complete"]
    """`waiting` before its first epoch, then `partial`, at last `complete`."""
    reason: str | None
    """Why the run ended before its budget; null where it did not."""
    budget_epochs: int | None
    """Its budget in epochs; null for one in cost."""
    budget_cost: float | None
    """Its budget in cost; null for one in epochs."""
    charged_epochs: int
    """Epochs that it has been charged."""
    charged_cost: float | None
    """Cost that it has been charged; null where the budget is in epochs."""
    wasted_epochs: int
    """Epochs trained again after a fault, never charged."""
    best: float | None
    """Best value so far; null before the first."""
    incumbent: str | None
    """The trial that gave it."""
    trials: dict[str, int]
    """Number of trials by status."""


class RunsAnswer(Answer):
    """The runs of a study, also those that have not begun."""

    study: str
    """Name of the study."""
    runs: list[RunAnswer]
    """One for each method and seed, seed by seed."""


class LookAnswer(Answer):
    """How a method is drawn, the same in every figure."""

    tint: str
    """Name of the CSS variable of its colour, without the dashes before it."""
    dash: list[float]
    """Lengths of strokes and gaps; empty for a solid line."""


class OccupancyAnswer(Answer):
    """The slots of the driver that plays the study, as it last wrote."""

    slots: int
    """Trials that can train at the same time."""
    busy: int
    """Of these, how many train."""
    starting: int
    """Of these, how many start a worker."""
    waiting: int
    """Trials that wait for a slot."""


class PhysicalAnswer(Answer):
    """What was really trained, beside what was charged: runs share trainings."""

    trained_epochs: int
    """Epochs trained, without those trained again after a fault."""
    left_epochs: int | None
    """Epochs that are still to be trained, at most; null where that is not known."""
    epochs_per_second: float | None
    """How fast they are trained now; null where nothing trains."""
    seconds_left: float | None
    """How long the rest will take at that speed."""
    wasted_epochs: int
    """Epochs trained again after a fault."""


class HyperparameterAnswer(Answer):
    """A hyperparameter of the search space."""

    name: str
    """Its name."""
    kind: Literal["float", "int", "choice"]
    """What values it has."""
    low: float | None
    """Least value; null for a choice."""
    high: float | None
    """Largest value; null for a choice."""
    log: bool
    """Whether it is searched on a logarithmic scale."""
    step: float | None
    """The distance of neighbouring values; null where all values between the ends are meant."""
    values: list[Cell] | None
    """The values of a choice; null for a range."""
    condition: dict[str, list[Cell]] | None
    """Hyperparameter -> values under which this one exists; null where it always does."""


class ExamAnswer(Answer):
    """A final exam of a winner."""

    trial: str
    """The winner's trial."""
    exam: str
    """`winner`: as it won; `retrain/k`: trained anew with seed k."""
    epoch: int
    """Epochs trained before the test."""
    reason: str | None
    """Why it failed; null where it did not."""
    metrics: dict[str, float | None]
    """The metrics of the test."""


class JobAnswer(Answer):
    """The job of the cluster that plays the study."""

    id: str
    """Its id at the job server."""
    page: str
    """Its page of the dashboard."""


class StudyAnswer(SummaryAnswer):
    """A study whole, but for its tables."""

    seeds_list: list[int]
    """The seeds."""
    folds: int
    """Folds of the data: an epoch of k folds is charged k times."""
    max_epochs: int | None
    """Most epochs of a trial."""
    parallelism: int | None
    """Virtual workers of a run."""
    run_list: list[RunAnswer]
    """The runs, also those that have not begun."""
    looks: dict[str, LookAnswer]
    """Method -> how it is drawn."""
    occupancy: OccupancyAnswer | None
    """The driver's slots; null where no driver plays the study."""
    physical: PhysicalAnswer
    """What was really trained."""
    trials: int
    """Number of different trials."""
    failure: str | None
    """Why the study as a whole has no result; null where it has one."""
    failed_exams: str | None
    """Which final exams failed; null where none did."""
    exams: list[ExamAnswer]
    """The final exams."""
    job: JobAnswer | None
    """The job that plays it; null for none."""
    verdict_sentence: str | None
    """The verdict in whole sentences; null while it is being made, or where there is nothing to compare."""
    space: list[HyperparameterAnswer]
    """The search space."""
    metrics: list[str]
    """Names of all metrics of an epoch, the study's first."""
    warnings: list[str]
    """Files of the study that cannot be read."""
    version: str
    """Changes with anything of the study."""


class EstimateAnswer(Answer):
    """What a study will take, judged by epochs trained before."""

    epochs: int
    """Most epochs to train."""
    seconds: float | None
    """How long that takes on the cluster's slots; null without epochs to judge by."""
    gpu_hours: float | None
    """Hours of GPUs; null without GPUs or without epochs to judge by."""


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
    estimate: EstimateAnswer | None
    """What it will take; null where that is not known."""


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
