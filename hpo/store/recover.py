"""Stored tables as input to the game: known curves, the order of events, earlier results to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.errors import StudyError
from hpo.game.curves import Curves
from hpo.game.script import Event, Script
from hpo.store.reader import StudyData, read
from hpo.study.space import Value
from hpo.study.study import Study
from hpo.study.values import Observation


def recorded(curves: Curves, data: StudyData, metric: str) -> None:
    """Fills the table of curves with the stored epochs and failures."""
    table = data.epochs.select(["trial", "epoch", "attempt", "ended", metric]) if data.epochs.num_rows else data.epochs
    rows = [row for row in table.to_pylist() if row["attempt"] == 0]
    for row in sorted(rows, key=lambda row: (row["trial"], row["epoch"])):
        if row["epoch"] == curves.known(row["trial"]) + 1:
            value = row[metric]
            curves.add(row["trial"], row["epoch"], float("nan") if value is None else value, bool(row["ended"]))
    for row in data.failures.to_pylist():
        curves.fail(row["trial"], row["reason"])


def scripts(data: StudyData, cause: str = "") -> dict[str, Script]:
    """Returns the stored events of each run, which its next player must meet again, by the run's name.

    `cause`: what is known to differ from the time of these events.
    """
    found: dict[str, dict[int, Event]] = {}
    for row in data.run_failures.to_pylist():
        found.setdefault(row["run"], {})[row["order"]] = Event(row["number"], row["trial"], row["epoch"] + 1, True)
    for row in data.charges.to_pylist():
        found.setdefault(row["run"], {})[row["order"]] = Event(row["number"], row["trial"], row["epoch"])
    return {run: Script(run, events, cause) for run, events in found.items()}


def prior_observations(study: Study) -> Sequence[Observation]:
    """Returns the results of the study's `prior` for searchers to learn from, oriented so that larger is better.

    Raises StudyError if the prior lacks the study's metric or a hyperparameter.
    """
    if study.prior is None:
        return ()
    data = read(study.prior)
    sign = 1.0 if study.mode == "max" else -1.0
    if study.metric not in data.epochs.column_names:
        raise StudyError(f"prior must hold the study's metric {study.metric!r}, but {study.prior} has no such column")
    names = list(study.space.names)
    columns = [f"config_{name}" for name in names]
    missing = [c for c in columns if c not in data.epochs.column_names]
    if missing:
        raise StudyError(f"prior must hold every hyperparameter of the space, but {study.prior} has no {missing[0]!r}")
    found = []
    for row in data.epochs.select([*columns, "epoch", "attempt", study.metric]).to_pylist():
        given = {n: _typed(study, n, row[f"config_{n}"]) for n in names if row[f"config_{n}"] is not None}
        config = study.space.snap(given)
        value = row[study.metric]
        if row["attempt"] == 0 and value is not None and value == value and config in study.space:
            found.append(Observation(config, row["epoch"], sign * value))
    return found


def _typed(study: Study, name: str, value: Value) -> Value:
    """Returns a column's value with its type in the space, since mixed choices are stored as text."""
    options = getattr(study.space.domains[name], "options", None)
    if options is None:
        return value
    return next((option for option in options if option == value or str(option) == str(value)), value)
