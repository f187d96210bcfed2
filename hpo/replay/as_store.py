"""The tables of a replayed study, as a store holds them, with virtual times. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.game.run import Run
from hpo.game.workers import RunTrial
from hpo.replay.weather import Weather
from hpo.store import StudyData, schema
from hpo.store import rows as builders
from hpo.store.agreement import REPLAY
from hpo.store.effort import Effort
from hpo.study.study import Study
from hpo.study.values import Charge, EpochRecord, Failure

WORKER = "replay"


def tables(
    study: Study, runs: Sequence[Run], charges: Sequence[Charge], weather: Weather, kinds: Mapping[str, str]
) -> StudyData:
    """Returns the tables. An epoch's seconds are its virtual time; epochs lost to the weather count as wasted.

    `kinds`: trial -> kind of failure, where it was recorded.
    """
    effort = Effort()
    methods = {method.label: method for method in study.methods}
    failures = _failures(study, runs, kinds)
    rows: dict[str, schema.Rows | schema.Columns] = {
        "epochs": list(_epochs(study, runs, charges, weather, effort)),
        "charges": [builders.charge_row(study.study, charge) for charge in charges],
        "failures": failures,
        "run_failures": [builders.run_failure_row(study.study, failure) for run in runs for failure in run.failures],
        "trials": builders.trial_columns(
            study.study, runs, study.kinds, {row["trial"]: row["kind"] for row in failures}
        ),
        "runs": [*builders.run_rows(study.study, list(runs), methods, effort)],
    }
    made = {name: schema.to_table(name, rows.get(name, []), study.kinds, distinct=True) for name in schema.TABLES}
    return StudyData(study.study, study.definition, {REPLAY: True}, **made)


def _epochs(
    study: Study, runs: Sequence[Run], charges: Sequence[Charge], weather: Weather, effort: Effort
) -> Iterator[builders.Row]:
    """Yields a row for each epoch that any run was charged for, and for each time that the weather lost it."""
    costs = {str(run.key): run.rules.cost for run in runs}
    trials = {(str(run.key), trial.number): trial for run in runs for trial in run.trials}
    known: set[tuple[str, int]] = set()
    common: dict[str, builders.Row] = {}  # trial -> a row of it: configurations are wide
    for charge in charges:
        if (charge.trial, charge.epoch) in known:
            continue
        known.add((charge.trial, charge.epoch))
        trial = trials[str(charge.run), charge.number]
        key = trial.key
        if charge.trial not in common:
            record = EpochRecord(
                key.id, 1, {study.metric: charge.value}, costs[str(charge.run)](key.config), worker=WORKER
            )
            common[charge.trial] = builders.epoch_row(study.study, key, record, study.kinds, charge.at)
        row = common[charge.trial] | {
            "epoch": charge.epoch, "finished": charge.at, study.metric: float(charge.value), "ended": _ends(trial, charge),
        }  # fmt: skip
        for attempt in range(1 + int(weather.lost(charge.trial, key.max_epochs)[charge.epoch - 1])):
            effort.add(charge.trial, charge.epoch, row["seconds"], attempt)
            yield {**row, "attempt": attempt}


def _ends(trial: RunTrial, charge: Charge) -> bool:
    """Tells whether the trial's training ended itself with this epoch."""
    return trial.ended and trial.epochs == charge.epoch


def _failures(study: Study, runs: Sequence[Run], kinds: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns a row for each trial whose curve failed; one whose metric is not finite tells so by its last value."""
    found: dict[str, builders.Row] = {}
    for run in runs:
        for met in run.failures:
            reason = run.trials[met.number].reason
            failure = Failure(met.trial, met.epoch, reason, kinds.get(met.trial, "error"))
            found.setdefault(met.trial, builders.failure_row(study.study, failure))
    return list(found.values())
