"""One study whole: its runs, its space, what was really trained. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from hpo.service.models.answer import Answer, Cell
from hpo.service.models.studies import SummaryAnswer


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


class JobLink(Answer):
    """A job of the cluster."""

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
    job: JobLink | None
    """The newest job that plays it, or played it; null where the cluster remembers none."""
    verdict_sentence: str | None
    """The verdict in whole sentences, an interim one until every run is complete, made now and then while the study runs;
    null while the first is being made, and where there is nothing to compare."""
    space: list[HyperparameterAnswer]
    """The search space."""
    metrics: list[str]
    """Names of all metrics of an epoch, the study's first."""
    warnings: list[str]
    """Files of the study that cannot be read."""
    version: str
    """Changes with anything of the study."""
