"""Stored tables as input to the game: known curves, the order of events, earlier results to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpo.errors import StudyError
from hpo.game.curves import Curves
from hpo.game.script import Event, Script
from hpo.store import columns
from hpo.store.agreement import REPLAY
from hpo.store.reader import StudyData, read, studies
from hpo.study.space import Config, Value, same
from hpo.study.study import Study
from hpo.study.values import Observation

_TASK = ("trainable", "data", "model", "early_stopping")  # what trainings depend on besides their hyperparameters


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
    """Returns the results of the studies in the store `prior` for methods to learn from; larger is better.

    Results that a trial of this study would give are of its own task; all others name the study that they are of, see
    Observation. The study itself, where the store holds it, is left out. Raises StudyError if no configuration shares a
    hyperparameter with the space.
    """
    if study.prior is None:
        return ()
    names: Sequence[str | None] = studies(study.prior) or [None]  # of an empty store, `read` says what it lacks
    earlier = [data for data in (read(study.prior, name) for name in names) if not _itself(study, data)]
    found = [observation for data in earlier for observation in _observations(study, data)]
    if not found and any(data.epochs.num_rows for data in earlier):
        raise StudyError(
            f"prior must hold values of at least one hyperparameter of the space ({', '.join(study.space.names)}), "
            f"but {study.prior} has none"
        )
    return found


def _itself(study: Study, data: StudyData) -> bool:
    return data.name == study.study and data.digest == study.digest


def _observations(study: Study, data: StudyData) -> Iterator[Observation]:
    """Yields the epochs of an earlier study, each with the hyperparameters that were searched and those that were fixed.

    Values are of this study's metric, or of the earlier one's own where it has no such column.
    """
    given = data.definition
    metric, mode = study.metric, study.mode
    if metric not in data.epochs.column_names:
        metric, mode = given["metric"], given["mode"]
    if not data.epochs.num_rows or metric not in data.epochs.column_names:
        return
    sign = 1.0 if mode == "max" else -1.0
    alike = metric == study.metric and _alike(study, data)
    places: dict[str, tuple[Config, str | None]] = {}
    for i, row in enumerate(data.epochs.select(["trial", "epoch", "attempt", metric]).to_pylist()):
        if row["trial"] not in places:
            whole = _config(study, data, i)
            own = _own(study, whole) if alike else None
            places[row["trial"]] = (whole, data.name) if own is None else (own, None)
        config, task = places[row["trial"]]
        value, shared = row[metric], any(name in config for name in study.space.names)
        if shared and row["attempt"] == 0 and value is not None and value == value:
            yield Observation(config, row["epoch"], sign * value, task)


def _alike(study: Study, data: StudyData) -> bool:
    """Whether equal hyperparameters are the same training in both studies.

    A replay trains nothing, and which recorded task answered it is not in the study: only its name tells replays apart.
    """
    replayed = REPLAY in data.environment and data.name != study.study
    return not replayed and all(study.definition[part] == data.definition.get(part) for part in _TASK)


def _config(study: Study, data: StudyData, place: int) -> dict[str, Value]:
    """Returns the hyperparameters of an epoch, searched and fixed, with their types in this study's space."""
    space, fixed = data.definition.get("space") or {}, data.definition.get("fixed") or {}
    found = columns.config(data.epochs.slice(place, 1).to_pylist()[0], space)
    return {name: _typed(study, name, value) for name, value in {**fixed, **found}.items()}


def _own(study: Study, config: Config) -> Config | None:
    """Returns the configuration of this study whose training is that of these hyperparameters; None if there is none."""
    if any(name not in config or not same(config[name], value) for name, value in study.fixed.items()):
        return None
    searched = study.space.snap({name: value for name, value in config.items() if name not in study.fixed})
    return searched if searched in study.space else None


def _typed(study: Study, name: str, value: Value) -> Value:
    """Returns a column's value with its type in the space, since mixed choices are stored as text."""
    options = getattr(study.space.domains.get(name), "options", ())
    return next((option for option in options if option == value or str(option) == str(value)), value)
