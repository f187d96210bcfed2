"""The arena, answered by recorded curves: thousands of virtual workers on a laptop. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from hpo.errors import HpoError
from hpo.game.arena import Arena
from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.game.runs import Cost, epoch_cost, runs_of
from hpo.replay.answers import Answers, Between, RecordedCurves
from hpo.replay.as_store import tables
from hpo.replay.sources import CurvesError, RecordedTable
from hpo.replay.stored_curves import epoch_seconds, finished
from hpo.replay.weather import Weather
from hpo.store import StudyData
from hpo.store.columns import numbers
from hpo.store.recover import recorded, scripts
from hpo.study.space import Config
from hpo.study.study import Study
from hpo.study.values import Charge, Observation, TrialKey

Times = Literal["declared", "recorded"]


@dataclass
class Replay:
    """A replayed study: its runs, their charges, and where the answers came from."""

    study: Study
    runs: Sequence[Run]
    charges: Sequence[Charge]
    answers: Answers
    weather: Weather

    @cached_property
    def data(self) -> StudyData:
        """The tables as a store would hold them. Made when asked for: it takes longer than a large replay."""
        return tables(self.study, self.runs, self.charges, self.weather)


def replay(
    study: Study,
    *,
    table: RecordedTable | None = None,
    data: StudyData | None = None,
    workers: int | None = None,
    budget: int | None = None,
    weather: Weather | None = None,
    prior: Sequence[Observation] = (),
    between: Between = "nearest",
    times: Times | None = None,
) -> Replay:
    """Plays the study over recorded curves: `table`, or a store's `data` of this or a like study.

    `workers` and `budget` stand in for the study's; a method that names its own parallelism keeps it. A store's trials
    answer for themselves; `between` says what answers for configurations that were not recorded. `times`: an epoch
    takes what the trainable declares (default for a store: so it was played), or what was recorded (default for a table).
    Raises CurvesError where the curves cannot answer.
    """
    own, seconds, weather = Curves(), None, weather or Weather()
    times = times or ("recorded" if data is None else "declared")
    if data is not None:
        recorded(own, data, study.metric)
        seconds = epoch_seconds(data) if times == "recorded" else None
        table = finished(data, study, seconds)
    elif table is not None and study.budget.max_epochs > table.epochs:
        raise CurvesError(
            f"budget.max_epochs must be at most the {table.epochs} epochs that {table.source} records, "
            f"but is {study.budget.max_epochs}"
        )
    elif table is not None and times == "declared":
        table = replace(table, seconds=np.ones_like(table.seconds))
    curves = RecordedCurves(
        table, study.space, weather, max_epochs=study.budget.max_epochs, own=own, own_seconds=seconds, between=between
    )
    stored = scripts(data) if data is not None and study.clock == "arrival" else {}
    cost = _declared_cost(study) if times == "declared" else None
    runs = [
        Run(run.key, run.schedule, _rules(run, curves), stored.get(str(run.key)))
        for run in runs_of(_sized(study, workers, budget), prior=prior, cost=cost)
    ]
    charges = Arena(runs, curves).play()
    return Replay(study, runs, charges, curves.answers, weather)


def best_recorded(study: Study, *, table: RecordedTable | None = None, data: StudyData | None = None) -> float:
    """The best value of the study's metric that the curves hold; NaN where there is none."""
    if data is not None:
        values = numbers(data.epochs, study.metric)
    elif table is not None:
        values = table.values[:, : study.budget.max_epochs]
    else:
        values = np.array([])
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan")
    return float(values.max() if study.mode == "max" else values.min())


def _declared_cost(study: Study) -> Cost:
    try:
        return epoch_cost(study)
    except (ImportError, AttributeError, ValueError, HpoError) as error:
        raise CurvesError(
            f"the trainable {study.trainable!r} must be importable, as it declares what an epoch costs, but: {error}"
        ) from None


def _sized(study: Study, workers: int | None, budget: int | None) -> Study:
    changes: dict[str, object] = {}
    if workers is not None:
        changes["parallelism"] = workers
    if budget is not None:
        changes["budget"] = study.budget.model_copy(update={"epochs": budget})
    return study.model_copy(update=changes) if changes else study


def _rules(run: Run, curves: RecordedCurves) -> Rules:
    rules = run.rules

    def key(config: Config, max_epochs: int) -> TrialKey:
        return curves.meet(rules.key(config, max_epochs))

    def cost(config: Config) -> float:
        seconds = curves.seconds(config)
        if seconds is None:  # an equal configuration, but not the very object that was named
            key(config, run.schedule.max_epochs)
            seconds = curves.seconds(config)
        return rules.cost(config) * (seconds or 0.0)

    return replace(rules, key=key, cost=cost)
