"""The tables of a replayed study, as a store would hold them, with virtual times. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.game.run import Run
from hpo.replay.weather import Weather
from hpo.store import StudyData, schema
from hpo.store import rows as standings
from hpo.study.study import Study
from hpo.study.values import Charge, TrialKey


def tables(study: Study, runs: Sequence[Run], charges: Sequence[Charge], weather: Weather) -> StudyData:
    """Returns the tables. An epoch's seconds are its virtual time; epochs lost to the weather count as wasted."""
    effort = standings.Effort()
    trained: dict[tuple[str, int], Mapping[str, object]] = {}
    costs = {str(run.key): run.rules.cost for run in runs}
    keys = {(str(run.key), trial.number): trial.key for run in runs for trial in run.trials}
    for charge in charges:
        key = keys[(str(charge.run), charge.number)]
        if (charge.trial, charge.epoch) not in trained:
            seconds = costs[str(charge.run)](key.config)
            trained[charge.trial, charge.epoch] = _epoch_row(study, key, charge, seconds)
            effort.add(charge.trial, charge.epoch, seconds, 0)
            for attempt in range(int(weather.lost(charge.trial, key.max_epochs)[charge.epoch - 1])):
                effort.add(charge.trial, charge.epoch, seconds, attempt + 1)
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


def _epoch_row(study: Study, key: TrialKey, charge: Charge, seconds: float) -> Mapping[str, object]:
    config = {f"config_{n}": str(v) if study.kinds[n] == "str" else v for n, v in key.config.items()}
    return {
        "study": study.study, "trial": key.id, "seed": key.seed, "max_epochs": key.max_epochs, **config,
        "epoch": charge.epoch, "seconds": seconds, "attempt": 0, "worker": "replay", "ended": False,
        "finished": charge.at, study.metric: charge.value,
    }  # fmt: skip


def _charge_row(study: Study, charge: Charge) -> Mapping[str, object]:
    run = charge.run
    return {
        "study": study.study, "run": str(run), "method": run.method, "seed": run.seed, "order": charge.order,
        "trial": charge.trial, "number": charge.number, "epoch": charge.epoch, "at": charge.at, "value": charge.value,
    }  # fmt: skip
