"""The tables of a replayed study, as a store would hold them, with virtual times. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo.game.run import Run
from hpo.replay.weather import Weather
from hpo.store import StudyData, schema
from hpo.store import rows as builders
from hpo.store.effort import Effort
from hpo.study.study import Study
from hpo.study.values import Charge, EpochRecord


def tables(study: Study, runs: Sequence[Run], charges: Sequence[Charge], weather: Weather) -> StudyData:
    """Returns the tables. An epoch's seconds are its virtual time; epochs lost to the weather count as wasted."""
    effort = Effort()
    trained: dict[tuple[str, int], Mapping[str, object]] = {}
    costs = {str(run.key): run.rules.cost for run in runs}
    keys = {(str(run.key), trial.number): trial.key for run in runs for trial in run.trials}
    for charge in charges:
        key = keys[(str(charge.run), charge.number)]
        if (charge.trial, charge.epoch) not in trained:
            seconds = costs[str(charge.run)](key.config)
            record = EpochRecord(key.id, charge.epoch, {study.metric: charge.value}, seconds, worker="replay")
            row = builders.epoch_row(study.study, key, record, study.kinds, finished=charge.at)
            trained[charge.trial, charge.epoch] = row
            effort.add(charge.trial, charge.epoch, seconds, 0)
            for attempt in range(int(weather.lost(charge.trial, key.max_epochs)[charge.epoch - 1])):
                effort.add(charge.trial, charge.epoch, seconds, attempt + 1)
    methods = {method.label: method for method in study.methods}
    rows: dict[str, schema.Rows | schema.Columns] = {
        "epochs": [*trained.values()],
        "charges": [builders.charge_row(study.study, charge) for charge in charges],
        "run_failures": [builders.run_failure_row(study.study, failure) for run in runs for failure in run.failures],
        "trials": builders.trial_columns(study.study, runs, study.kinds, {}),
        "runs": [*builders.run_rows(study.study, list(runs), methods, effort)],
    }
    made = {name: schema.to_table(name, rows.get(name, []), study.kinds, distinct=True) for name in schema.TABLES}
    return StudyData(study.study, _definition(study, runs), {"replay": True}, **made)


def _definition(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """Returns the study as it was replayed: with the budget and the virtual workers of its runs."""
    slots = {run.key.method: run.rules.parallelism for run in runs}
    budget = study.definition["budget"]
    if runs:
        ledger = runs[0].ledger
        budget = study.budget.of(ledger.unit.value(ledger.budget)).model_dump(mode="json")
    methods = [{**method, "parallelism": slots[method["label"]]} for method in study.definition["methods"]]
    own = {method.label for method in study.methods if method.parallelism is not None}
    shared = next((number for label, number in slots.items() if label not in own), study.parallelism)
    return {**study.definition, "budget": budget, "methods": methods, "parallelism": shared}
