"""The arena, answered by recorded curves: thousands of virtual workers on a laptop. Pure but for reading the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hpo import plan, standings
from hpo import store as stores
from hpo.arena import Arena
from hpo.curves import Cell, Curves, Failed, Trained
from hpo.dispatch import recorded, scripts
from hpo.recorded import CurvesError, RecordedTable
from hpo.recorded import table as as_table
from hpo.run import Rules, Run
from hpo.space import Config, SearchSpace
from hpo.store import StudyData, schema
from hpo.study import Study
from hpo.trial import Charge, Observation, TrialKey, digest


@dataclass(frozen=True)
class Weather:
    """What a cluster does to time and trials, as pure functions of the trial's content and `seed`.

    stragglers: sigma of the log-normal factor on a trial's epoch time; failures: probability that a trial fails at
    some epoch; preemptions: probability, an epoch, that it must be trained again (time, never budget).
    """

    stragglers: float = 0.0
    failures: float = 0.0
    preemptions: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.stragglers >= 0 and 0 <= self.failures < 1 and 0 <= self.preemptions < 1):
            raise CurvesError(
                f"stragglers >= 0, 0 <= failures < 1 and 0 <= preemptions < 1 must hold, but got {self.stragglers}, "
                f"{self.failures}, {self.preemptions}"
            )

    @property
    def calm(self) -> bool:
        return not (self.stragglers or self.failures or self.preemptions)

    def slowness(self, trial: str) -> float:
        """The factor on the trial's epoch time."""
        rng = np.random.default_rng([int(trial, 16), self.seed, 1])
        again = rng.geometric(1 - self.preemptions) if self.preemptions else 1
        return float(np.exp(rng.normal(0.0, self.stragglers)) * again)

    def fails_at(self, trial: str, max_epochs: int) -> int | None:
        """The epoch that the trial fails to train; None where it does not fail."""
        rng = np.random.default_rng([int(trial, 16), self.seed, 2])
        return int(rng.integers(1, max_epochs + 1)) if rng.random() < self.failures else None


@dataclass
class Answers:
    """Where the replay's cells came from: the trial itself, the nearest recorded configuration, or first one, then
    the other, where the trial's own curve ended too early."""

    exact: int = 0
    nearest: int = 0
    continued: int = 0

    def sentence(self) -> str:
        told = f"{self.exact} trials answered by their own curve, {self.nearest} by the nearest recorded configuration"
        both = f", {self.continued} by their own curve as far as it goes and by the nearest one from there"
        return told + (both if self.continued else "")


class RecordedCurves(Curves):
    """The table of curves, answered by a recorded one: a trial's own curve where there is one, else its neighbour's.

    `own` holds curves by trial id (a store of this study); it answers exactly, as far as it goes.
    """

    def __init__(
        self, table: RecordedTable | None, space: SearchSpace, weather: Weather, own: Curves | None = None
    ) -> None:
        super().__init__()
        self.answers = Answers()
        self._own, self._table, self._space, self._weather = own or Curves(), table, space, weather
        self.failures = self._own.failures
        self._row: dict[str, int] = {}
        self._row_beyond: dict[str, int] = {}
        self._met: dict[str, TrialKey] = {}
        self._seconds: dict[int, tuple[Config, float]] = {}  # by identity: the configuration is kept, so it holds
        self._doom: dict[str, int | None] = {}
        if table is not None:
            self._full = np.flatnonzero((table.known == table.epochs) | table.failed)
            self._exact = {_name(table.configs[i]): int(i) for i in self._full}
            self._features = np.array([space.features(table.configs[i]) for i in self._full])
            self._norms = (self._features**2).sum(axis=1)
            self._values: list[list[float]] = table.values.tolist()

    def meet(self, key: TrialKey) -> TrialKey:
        """A run has named a trial: the recorded row that answers for it is looked up once."""
        if key.id not in self._doom:
            self._doom[key.id] = None if self._weather.calm else self._weather.fails_at(key.id, key.max_epochs)
            if self._own.known(key.id) > 0 or self._own.closed(key.id):
                self.answers.exact += 1
                self._met[key.id] = key
            elif self._table is not None:
                self._row[key.id] = self._nearest(key.config)
        self._seconds[id(key.config)] = (key.config, self._epoch_seconds(key.id))
        return key

    def _nearest(self, config: Config) -> int:
        row = self._exact.get(_name(config))
        if row is not None:
            self.answers.exact += 1
            return row
        self.answers.nearest += 1
        return self._neighbour(config)

    def _neighbour(self, config: Config) -> int:
        distances = self._norms - 2 * (self._features @ self._space.features(config))  # but for the same summand
        return int(self._full[int(distances.argmin())])

    def seconds(self, config: Config) -> float | None:
        """The recorded time of an epoch, in seconds, with the weather's factor; None for one that was not met."""
        found = self._seconds.get(id(config))
        return None if found is None else found[1]

    def _epoch_seconds(self, trial: str) -> float:
        row = self._row.get(trial)
        base = 1.0 if row is None or self._table is None else float(self._table.seconds[row])
        return base if self._weather.calm else base * self._weather.slowness(trial)

    def cell(self, trial: str, epoch: int) -> Cell | None:
        if self._doom.get(trial) == epoch:
            return Failed("failed in the replay's weather")
        row = self._row.get(trial)
        if row is None:
            own = self._own.cell(trial, epoch)
            if own is not None:
                return own
            row = self._row_beyond[trial] if trial in self._row_beyond else self._beyond(trial, epoch)
        assert self._table is not None
        if epoch <= self._table.known[row]:
            return Trained(self._values[row][epoch - 1])
        if self._table.failed[row]:
            return Failed(f"failed at epoch {epoch} when it was recorded")
        raise CurvesError(
            f"the study trains up to epoch {epoch}, but {self._table.source} records {self._table.epochs} epochs; "
            "lower budget.max_epochs"
        )

    def _beyond(self, trial: str, epoch: int) -> int:
        """A trial's own curve ends too early: from there on the nearest configuration trained to the end answers."""
        if self._table is None or trial not in self._met:
            raise self._unanswered(trial, epoch)
        config = self._met[trial].config
        self.answers.exact -= 1
        self.answers.continued += 1
        self._row_beyond[trial] = row = self._neighbour(config)
        return row

    def _unanswered(self, trial: str, epoch: int) -> CurvesError:
        known = self._own.known(trial)
        if known:
            return CurvesError(
                f"the recorded curve of trial {trial} must reach epoch {epoch}, but ends at {known}; "
                "ask for at most the budget that was recorded"
            )
        return CurvesError(
            f"the curves must answer epoch {epoch} of trial {trial}, but it was not recorded and no configuration "
            "was trained to the end; replay the study's own methods and budget, or record full curves"
        )


def _name(config: Config) -> str:
    return repr(sorted(config.items()))


@dataclass
class Replay:
    """A replayed study: its runs, their charges, and where the answers came from."""

    study: Study
    runs: Sequence[Run]
    charges: Sequence[Charge]
    answers: Answers

    @cached_property
    def data(self) -> StudyData:
        """The tables as a store would hold them. Made when asked for: it takes longer than a large replay."""
        return _tables(self.study, self.runs, self.charges)


def replay(
    study: Study,
    *,
    table: RecordedTable | None = None,
    data: StudyData | None = None,
    workers: int | None = None,
    budget: int | None = None,
    weather: Weather | None = None,
    prior: Sequence[Observation] = (),
) -> Replay:
    """Plays the study over recorded curves: `table`, or a store's `data` of this or a like study.

    `workers` and `budget` stand in for the study's. A store's trials answer for themselves and take the time that the
    trainable declares; other configurations are answered by the nearest one that was trained to the end.
    Raises CurvesError where the curves cannot answer.
    """
    own = Curves()
    if data is not None:
        recorded(own, data, study.metric)
        table = finished(data, study)
    elif table is not None and study.budget.max_epochs > table.epochs:
        raise CurvesError(
            f"budget.max_epochs must be at most the {table.epochs} epochs that {table.source} records, "
            f"but is {study.budget.max_epochs}"
        )
    curves = RecordedCurves(table, study.space, weather or Weather(), own)
    stored = scripts(data) if data is not None and study.clock == "arrival" else {}
    cost = _declared_cost(study) if data is not None else None
    runs = [
        Run(run.key, run.schedule, _rules(run, curves, workers, budget), stored.get(str(run.key)))
        for run in plan.runs(_sized(study, workers, budget), prior=prior, cost=cost)
    ]
    charges = Arena(runs, curves).play()
    return Replay(study, runs, charges, curves.answers)


def _declared_cost(study: Study) -> plan.Cost:
    try:
        return plan.epoch_cost(study)
    except (ImportError, AttributeError, ValueError) as error:
        raise CurvesError(
            f"the trainable {study.trainable!r} must be importable, as it declares what an epoch costs, but: {error}"
        ) from None


def finished(data: StudyData, study: Study) -> RecordedTable | None:
    """The configurations of a store that were trained to the end, or failed; None where there is none.

    Of a configuration that was trained with several seeds the lowest counts. A curve that ended itself stays at its
    best value from there on, as the weights of its best epoch are what it leaves.
    """
    curves, found = Curves(), dict[str, tuple[Config, list[float]]]()
    recorded(curves, data, study.metric)
    best = max if study.mode == "max" else min
    whole = study.budget.max_epochs
    for row in sorted(data.trials.to_pylist(), key=lambda row: (row["seed"], row["trial"])):
        trial = row["trial"]
        values = [
            v for e in range(1, whole + 1) if isinstance(c := curves.cell(trial, e), Trained) and (v := c.value) == v
        ]
        config = {n: row.get(f"config_{n}") for n in study.space.names}
        ended = curves.closed(trial) and not isinstance(curves.cell(trial, len(values) + 1), Failed)
        if ended and values:
            values += [best(values)] * (whole - len(values))
        if len(values) == whole or (curves.closed(trial) and values):
            found.setdefault(digest(config), (config, values))
    if not found:
        return None
    matrix = np.full((len(found), whole), np.nan)
    for i, (_, values) in enumerate(found.values()):
        matrix[i, : len(values)] = values
    rows = [list(config.values()) for config, _ in found.values()]
    return as_table(f"the store of {data.name}", study.space, study.space.names, rows, matrix, np.ones(len(rows)))


def _sized(study: Study, workers: int | None, budget: int | None) -> Study:
    changes: dict[str, object] = {}
    if workers is not None:
        changes["parallelism"] = workers
    if budget is not None:
        changes["budget"] = study.budget.model_copy(update={"epochs": budget})
    return study.model_copy(update=changes) if changes else study


def _rules(run: Run, curves: RecordedCurves, workers: int | None, budget: int | None) -> Rules:
    rules = run.rules

    def key(config: Config, max_epochs: int) -> TrialKey:
        return curves.meet(rules.key(config, max_epochs))

    def cost(config: Config) -> float:
        seconds = curves.seconds(config)
        if seconds is None:  # an equal configuration, but not the very object that was named
            key(config, run.schedule.max_epochs)
            seconds = curves.seconds(config)
        return rules.cost(config) * (seconds or 0.0)

    return replace(rules, key=key, cost=cost, parallelism=workers or rules.parallelism, budget=budget or rules.budget)


def _tables(study: Study, runs: Sequence[Run], charges: Sequence[Charge]) -> StudyData:
    """What a store would hold of the replayed study, with virtual times."""
    effort = standings.Effort()
    trained: dict[tuple[str, int], Mapping[str, object]] = {}
    keys = {(str(run.key), trial.number): trial.key for run in runs for trial in run.trials}
    for charge in charges:
        key = keys[(str(charge.run), charge.number)]
        effort.add(charge.trial, charge.epoch, 1.0, 0)
        trained.setdefault((charge.trial, charge.epoch), _epoch_row(study, key, charge))
    methods = {method.label: method for method in study.methods}
    rows: dict[str, list[Mapping[str, object]]] = {
        "epochs": [*trained.values()],
        "charges": [_charge_row(study, charge) for charge in charges],
        "trials": [*standings.trial_rows(study.study, runs, study.kinds, {})],
        "runs": [*standings.run_rows(study.study, list(runs), methods, effort)],
    }
    made = {name: schema.to_table(name, rows.get(name, []), study.kinds, distinct=True) for name in schema.TABLES}
    budget = {**study.definition["budget"], "epochs": runs[0].ledger.budget if runs else study.budget.epochs}
    return StudyData(study.study, {**study.definition, "budget": budget}, {"replay": True}, **made)


def _epoch_row(study: Study, key: TrialKey, charge: Charge) -> Mapping[str, object]:
    config = {f"config_{n}": str(v) if study.kinds[n] == "str" else v for n, v in key.config.items()}
    return {
        "study": study.study, "trial": key.id, "seed": key.seed, "max_epochs": key.max_epochs, **config,
        "epoch": charge.epoch, "seconds": 1.0, "attempt": 0, "worker": "replay", "ended": False,
        "finished": charge.at, study.metric: charge.value,
    }  # fmt: skip


def _charge_row(study: Study, charge: Charge) -> Mapping[str, object]:
    run = charge.run
    return {
        "study": study.study, "run": str(run), "method": run.method, "seed": run.seed, "order": charge.order,
        "trial": charge.trial, "number": charge.number, "epoch": charge.epoch, "at": charge.at, "value": charge.value,
    }  # fmt: skip


def from_store(uri: str, study: Study) -> StudyData:
    """The curves of a store: of the study of the same name, or of its only one."""
    names = stores.studies(uri)
    return stores.read(uri, study.study if study.study in names else None)
