"""Values of the game as rows of the store's tables, one builder a table. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hpo.game.run import Run
from hpo.store import schema
from hpo.store.columns import PREFIX
from hpo.store.effort import Effort
from hpo.store.errors import StoreError
from hpo.study.amounts import COST, EPOCHS
from hpo.study.space import Config
from hpo.study.values import Charge, EpochRecord, Failure, Method, RunFailure, RunKey, TrialKey
from hpo.text import encodable

Row = dict[str, Any]
Columns = dict[str, list[Any]]
Kinds = Mapping[str, str]  # hyperparameter -> type of its column: float, int, bool or str


def epoch_row(study: str, key: TrialKey, record: EpochRecord, kinds: Kinds, finished: float) -> Row:
    """Builds the row of a trained epoch, whose result arrived at `finished` (seconds since the epoch of unix time).

    Raises StoreError for a metric that is named like a column or is not a number.
    """
    return {
        "study": study,
        "trial": record.trial,
        "seed": key.seed,
        "max_epochs": key.max_epochs,
        **_config(key.config, kinds),
        "epoch": record.epoch,
        "seconds": float(record.seconds),
        "attempt": record.attempt,
        "worker": record.worker,
        "ended": bool(record.ended),
        "finished": finished,
        **_metrics("epochs", record.metrics),
    }


def charge_row(study: str, charge: Charge) -> Row:
    """Builds the row of a charged epoch."""
    return {
        **_run(study, charge.run),
        "order": charge.order,
        "trial": charge.trial,
        "number": charge.number,
        "epoch": charge.epoch,
        "at": float(charge.at),
        "value": float(charge.value),
        "seen": charge.seen,
        "cost": None if charge.cost is None else COST.value(charge.cost),
    }


def failure_row(study: str, failure: Failure) -> Row:
    """Builds the row of a failed trial."""
    return {
        "study": study,
        "trial": failure.trial,
        "epoch": failure.epoch,
        "kind": failure.kind,
        "reason": failure.reason,
    }


def run_failure_row(study: str, failure: RunFailure) -> Row:
    """Builds the row of a failed trial as a run met it."""
    return {
        **_run(study, failure.run),
        "order": failure.order,
        "trial": failure.trial,
        "number": failure.number,
        "epoch": failure.epoch,
    }


def exam_row(study: str, exam: Mapping[str, Any]) -> Row:
    """Builds the row of a winner's test: trial, exam, seed, epoch and test metrics.

    `confusion` [K x K] and the names of `classes` [K], where there are any, become JSON. Raises StoreError for a
    metric that is not a number.
    """
    own = {name: exam[name] for name in schema.columns("exams") if name in exam}
    if isinstance(own.get("classes"), list | tuple):
        own["classes"] = [encodable(str(name)) for name in own["classes"]]
    for name in own.keys() & {"confusion", "classes"}:
        if own[name] is not None and not isinstance(own[name], str):
            own[name] = json.dumps(own[name])
    measured = {name: value for name, value in exam.items() if name not in own}
    return {**own, "study": study, **_metrics("exams", measured)}


def trial_columns(study: str, runs: Iterable[Run], kinds: Kinds, failures: Mapping[str, str]) -> Columns:
    """Builds the columns of a table with one row for each trial of each run; `failures`: trial -> kind of failure."""
    names = [*schema.columns("trials"), *(PREFIX + name for name in kinds)]
    found: Columns = {name: [] for name in names}
    for run in runs:
        trials = run.trials
        for name, value in _run(study, run.key).items():
            found[name] += [value] * len(trials)
        found["number"] += [trial.number for trial in trials]
        found["trial"] += [trial.key.id for trial in trials]
        for name, kind in kinds.items():
            configs = [trial.key.config for trial in trials]
            found[PREFIX + name] += (
                [str(config[name]) if name in config else None for config in configs]
                if kind == "str"
                else [config.get(name) for config in configs]
            )
        found["status"] += [trial.status for trial in trials]
        found["epochs"] += [trial.epochs for trial in trials]
        found["best_epoch"] += [trial.best_epoch or None for trial in trials]
        found["best_value"] += [trial.best_value if trial.best_epoch else None for trial in trials]
        failed = [trial.status == "failed" for trial in trials]
        found["kind"] += [
            failures.get(t.key.id, "diverged") if f else None for t, f in zip(trials, failed, strict=True)
        ]
        found["reason"] += [t.reason if f else None for t, f in zip(trials, failed, strict=True)]
    return found


def run_rows(study: str, runs: Sequence[Run], methods: Mapping[str, Method], effort: Effort) -> list[Row]:
    """Builds one row for each run. `shared_epochs` were trained once and charged to another run too."""
    longest = _longest(runs)
    rows = []
    for run in runs:
        outcome, method = run.outcome(), methods[run.key.method]
        best, trials = outcome.incumbent, [(trial.key.id, trial.epochs) for trial in run.trials]
        rows.append(
            {
                **_run(study, run.key),
                "name": method.name,
                "options": json.dumps(dict(method.options), sort_keys=True),
                "status": outcome.status,
                "reason": outcome.reason or None,
                "budget_epochs": outcome.budget if outcome.unit == EPOCHS else None,
                "budget_cost": None if outcome.unit == EPOCHS else outcome.unit.value(outcome.budget),
                "charged_epochs": outcome.committed,
                "charged_cost": None if outcome.unit == EPOCHS else outcome.unit.value(outcome.spent),
                "shared_epochs": sum(_shared(n, longest[trial]) for trial, n in trials) * run.rules.charge,
                "wasted_epochs": sum(effort.wasted.get(trial, 0) for trial, _ in trials) * run.rules.charge,
                "trials": outcome.trials,
                "failed_trials": outcome.failed_trials,
                "incumbent_trial": best.trial if best else None,
                "incumbent_epoch": best.epoch if best else None,
                "incumbent_value": best.value if best else None,
                "train_seconds": sum(sum(effort.seconds.get(trial, ())[:n]) for trial, n in trials),
            }
        )
    return rows


def _longest(runs: Iterable[Run]) -> dict[str, tuple[int, int]]:
    """Returns trial -> the most epochs of it that were charged to a run, and the most that were charged to another."""
    found: dict[str, tuple[int, int]] = {}
    for run in runs:
        for trial in run.trials:
            most, second = found.get(trial.key.id, (0, 0))
            epochs = trial.epochs
            found[trial.key.id] = (epochs, most) if epochs > most else (most, max(second, epochs))
    return found


def _shared(epochs: int, longest: tuple[int, int]) -> int:
    """Returns how many of a trial's epochs that were charged to a run were charged to another, too."""
    most, second = longest
    return epochs if epochs < most else second


def _run(study: str, run: RunKey) -> Row:
    return {"study": study, "run": str(run), "method": run.method, "seed": run.seed}


def _config(config: Config, kinds: Kinds) -> Row:
    """Builds the columns of a configuration; values of several types share a column of text."""
    return {f"{PREFIX}{name}": str(value) if kinds.get(name) == "str" else value for name, value in config.items()}


def _metrics(table: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Returns a trainable's metrics as floats. Raises StoreError for a column's name and for a value that is no number."""
    found = {}
    for given, value in values.items():
        name = _metric(table, given)
        try:
            found[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            raise StoreError(f"a metric must be a number, but {name} is {value!r}; report numbers only") from None
    return found


@lru_cache(maxsize=1024)
def _metric(table: str, given: str) -> str:
    name = encodable(given)
    if name in schema.columns(table) or name.startswith(PREFIX):
        raise StoreError(f"a metric must not be named like a column of the store, but got {name!r}; rename it")
    return name
