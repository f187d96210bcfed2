"""The replay of a study: its runs and its arena, answered by recorded curves instead of a cluster. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo.game.arena import Arena
from hpo.game.curves import Curves
from hpo.game.run import Rules, Run
from hpo.game.runs import Cost, epoch_cost, runs_of
from hpo.game.script import Script
from hpo.replay.answers import Answers, Between, RecordedCurves
from hpo.replay.as_store import tables
from hpo.replay.sources import CurvesError, RecordedFunction, RecordedTable
from hpo.replay.sources.store import epoch_seconds, finished
from hpo.replay.weather import Weather
from hpo.store import StudyData
from hpo.store.columns import numbers
from hpo.store.recover import recorded, scripts
from hpo.study.space import Config
from hpo.study.study import Study
from hpo.study.values import Charge, Observation, TrialKey, digest
from trainables.errors import BadTrainable

PLAYED = (  # what a run's decisions depend on besides its method: with other values, a replay asks what would have been
    "trainable", "data", "model", "fixed", "early_stopping", "space", "parallelism", "clock", "metric", "mode", "budget",
    "start", "prior",
)  # fmt: skip

Times = Literal["declared", "recorded"]

S = TypeVar("S", bound=Study)


@dataclass
class Replay:
    """A replayed study: its runs, their charges, and which curves answered."""

    study: Study
    runs: Sequence[Run]
    charges: Sequence[Charge]
    answers: Answers
    weather: Weather
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Trial -> kind of failure, where it was recorded."""

    @cached_property
    def data(self) -> StudyData:
        """The tables as a store would hold them. Built on demand, because that takes longer than a large replay."""
        return tables(self.study, self.runs, self.charges, self.weather, self.kinds)


@dataclass(frozen=True)
class Game:
    """A study and what answers it: a `table` or function, or the `data` of a store of this study or a similar one.

    The trials of a store are answered by their own curves; `between` chooses the answer for unrecorded configurations.
    `times`: an epoch takes the time that the trainable declares (default for a store, as it was played) or the recorded
    one (default for a table). `prior`: earlier results for methods that learn.
    """

    study: Study
    table: RecordedTable | RecordedFunction | None = None
    data: StudyData | None = None
    prior: Sequence[Observation] = ()
    between: Between = "nearest"
    times: Times | None = None
    weather: Weather = field(default_factory=Weather)
    task: str | None = None  # the one of the curves, where they hold several

    def play(self, seeds: Sequence[int] | None = None, stored: Mapping[str, Script] | None = None) -> Replay:
        """Plays the runs, or those with these seeds. `stored`: the events that a run must meet again, by its name.

        Runs with different seeds share nothing, so that they may be played apart. Raises CurvesError if the curves cannot
        answer.
        """
        study, data = self.study, self.data
        curves = _curves(study, self.table, data, self._times, self.between, self.weather)
        scripts = {**(_scripts(study, data) if data is not None and self.weather.calm else {}), **(stored or {})}
        cost = declared_cost(study) if self._times == "declared" else None
        known = curves.expected_seconds if self._times == "recorded" else None
        played = study if seeds is None else study.changed(seeds=list(seeds))
        runs = [
            Run(run.key, run.schedule, _rules(run, curves), scripts.get(str(run.key)))
            for run in runs_of(played, prior=self.prior, cost=cost, known=known)
        ]
        charges = Arena(runs, curves).play()
        return Replay(study, runs, charges, curves.answers, self.weather, {} if data is None else _kinds(data))

    @property
    def _times(self) -> Times:
        return self.times or ("recorded" if self.data is None else "declared")

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What the results depend on besides the study, as a store's environment tells it."""
        source = self.table.source if self.table is not None else f"the study {self.data.name}" if self.data else ""
        told: dict[str, Any] = {"between": self.between, "times": self._times}
        told |= {} if self.weather.calm else {"weather": asdict(self.weather)}
        return {
            "curves": Path(source).name if Path(source).exists() else source,
            **({"task": self.task} if self.task else {}),
            "digest": _digest_of(self),
            **told,
        }


def replay(
    study: Study,
    *,
    table: RecordedTable | RecordedFunction | None = None,
    data: StudyData | None = None,
    workers: int | None = None,
    budget: int | None = None,
    weather: Weather | None = None,
    prior: Sequence[Observation] = (),
    between: Between = "nearest",
    times: Times | None = None,
) -> Replay:
    """Plays the study over recorded curves, see Game. `workers` and `budget` replace the study's; a method that sets its own
    parallelism keeps it.

    Raises CurvesError if the curves cannot answer.
    """
    return Game(sized(study, workers, budget), table, data, prior, between, times, weather or Weather()).play()


def _digest_of(game: Game) -> str:
    """Returns a digest of the curves: those of one digest give the same answers."""
    table, data = game.table, game.data
    if table is not None and not isinstance(table, RecordedTable):
        return table.digest
    if table is not None:
        return digest(
            [[dict(c) for c in table.configs], _hashed(table.values, table.known, table.failed, table.seconds)]
        )
    assert data is not None
    epochs = data.epochs.sort_by([("trial", "ascending"), ("epoch", "ascending"), ("attempt", "ascending")])
    columns = [numbers(epochs, name) for name in ("epoch", "attempt", "ended", "seconds", game.study.metric)]
    failed = sorted(zip(*(data.failures[name].to_pylist() for name in ("trial", "epoch")), strict=True))
    return digest([data.digest, _hashed(*columns), _hashed("".join(epochs["trial"].to_pylist()).encode()), failed])


def _hashed(*contents: NDArray[Any] | bytes) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes())
    return found.hexdigest()


def _kinds(data: StudyData) -> dict[str, str]:
    return dict(zip(data.failures["trial"].to_pylist(), data.failures["kind"].to_pylist(), strict=True))


def declared_cost(study: Study) -> Cost | None:
    """Returns what an epoch costs, as declared; None, too, where this machine lacks the code of a user's trainable."""
    try:
        return epoch_cost(study)
    except BadTrainable:
        if ":" not in study.trainable:
            raise
        return None


def _scripts(study: Study, data: StudyData) -> dict[str, Script]:
    """Returns the order of arrival to repeat, by run: of the methods that the store holds as the study has them now."""
    then, now = data.definition, study.definition
    if study.clock != "arrival" or any(then.get(name, value) != value for name, value in now.items() if name in PLAYED):
        return {}
    before = {method["label"]: method for method in then.get("methods", ())}
    same = [method for method in now["methods"] if before.get(method["label"]) == method]
    names = {f"{method['label']}/{seed}" for method in same for seed in study.seeds}
    return {run: script for run, script in scripts(data).items() if run in names}


def _curves(
    study: Study,
    table: RecordedTable | RecordedFunction | None,
    data: StudyData | None,
    times: Times,
    between: Between,
    weather: Weather,
) -> RecordedCurves:
    """Returns the recorded curves as the arena asks for them. Raises CurvesError if they are shorter than a trial."""
    own, seconds, longest = Curves(), None, study.budget.max_epochs
    if data is not None:
        recorded(own, data, study.metric)
        seconds = epoch_seconds(data) if times == "recorded" else None
        table = finished(data, study, seconds)
    elif table is not None and longest > table.epochs:
        raise CurvesError(
            f"budget.max_epochs must be at most the {table.epochs} epochs that {table.source} records, but is {longest}"
        )
    elif isinstance(table, RecordedTable) and times == "declared":
        table = replace(table, seconds=np.ones_like(table.seconds))
    return RecordedCurves(
        table, study.space, weather, max_epochs=longest, own=own, own_seconds=seconds, between=between,
        timed=times == "recorded",
    )  # fmt: skip


def best_recorded(
    study: Study, *, table: RecordedTable | RecordedFunction | None = None, data: StudyData | None = None
) -> float:
    """Returns the best recorded value of the study's metric; NaN if there is none."""
    if data is not None:
        values = numbers(data.epochs, study.metric)
    elif table is not None and not isinstance(table, RecordedTable):
        return table.best
    elif table is not None:
        values = table.values[:, : study.budget.max_epochs]
    else:
        values = np.array([])
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan")
    return float(values.max() if study.mode == "max" else values.min())


def sized(study: S, workers: int | None, budget: int | None) -> S:
    """Returns the study with so many virtual workers, and with that budget of each run."""
    changes: dict[str, object] = {}
    if workers is not None:
        changes["parallelism"] = workers
    if budget is not None:
        changes["budget"] = study.budget.of(budget)
    return study.changed(**changes) if changes else study


def _rules(run: Run, curves: RecordedCurves) -> Rules:
    rules = run.rules

    def key(config: Config, max_epochs: int) -> TrialKey:
        return curves.meet(rules.key(config, max_epochs))

    def cost(config: Config) -> float:
        seconds = curves.seconds(config)
        if seconds is None:  # an equal configuration, but not the same object
            key(config, run.schedule.max_epochs)
            seconds = curves.seconds(config)
        return rules.cost(config) * (seconds or 0.0)

    return replace(rules, key=key, cost=cost)
