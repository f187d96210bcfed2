"""Optuna's results, read without Optuna: its SQLite storage, its journal file, its table of trials.

A reported step is an epoch. Steps count from 0 or from 1, as the study's first step does, and none may be missing.
Without reported steps an epoch is a whole training. A pruned trial's curve ends where it was pruned; a failed trial
fails where its curve ends. Of several trials with one configuration the longest counts; of equally long ones the first.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.layouts import in_order
from hpo.replay.sources.table import CurvesError, Raw, matrix
from hpo.text import nearest

MAGIC = b"SQLite format 3\0"
LONGEST_LINE = 2**16  # bytes: the first line of a journal creates a study, and is far shorter
STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
DIRECTIONS = {0: "not set", 1: "min", 2: "max", "MINIMIZE": "min", "MAXIMIZE": "max", "NOT_SET": "not set"}
STUDY, DELETED, TRIAL, PARAM, STATE, VALUE = 0, 1, 4, 5, 6, 7  # the journal's operations that concern curves


@dataclass
class Trial:
    """A trial of Optuna: `steps` as reported, `value` as returned."""

    state: str = "RUNNING"
    config: dict[str, Any] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    value: float | None = None
    began: str | None = None
    ended: str | None = None

    @property
    def open(self) -> bool:
        """Whether the journal may still change the trial."""
        return self.state in ("RUNNING", "WAITING")

    @property
    def seconds(self) -> float:
        """The time of the whole trial in seconds; NaN if unknown."""
        if self.began is None or self.ended is None:
            return math.nan
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)).total_seconds()


@dataclass
class Study:
    """A study of Optuna: the directions of its objectives, and its trials."""

    directions: Sequence[str]
    trials: list[Trial] = field(default_factory=list)


def is_storage(path: Path) -> bool:
    """Reports whether a file is a SQLite storage or a journal."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return True
        file.seek(0)
        first = file.readline(LONGEST_LINE)
    try:
        entry = json.loads(first)
    except ValueError:  # also bytes that are no text
        return False
    return isinstance(entry, dict) and {"op_code", "worker_id"} <= entry.keys()


def is_dataframe(columns: Sequence[str]) -> bool:
    """Reports whether columns are those of `study.trials_dataframe()`, and not those of the long layout."""
    values = any(name == "value" or name.startswith(("value_", "values_", "intermediate_values_")) for name in columns)
    params = any(name.startswith("params_") for name in columns)
    return "state" in columns and params and values and "epoch" not in columns


def read(path: Path, task: str | None, mode: str | None) -> Raw:
    """Reads the curves of one study of a storage: its only one, or the one that `task` names."""
    studies = _studies(path)
    if len(studies) != 1 and task not in studies:
        raise CurvesError(
            f"--task must name one of {path.name}'s {len(studies)} studies, but got {task!r}; "
            f"{nearest(task or '', list(studies))}"
        )
    study = studies[task] if task in studies else next(iter(studies.values()))
    if len(study.directions) != 1:
        raise CurvesError(f"{path.name}'s study must have one objective, but has {len(study.directions)}")
    if mode is not None and study.directions[0] not in (mode, "not set"):
        raise CurvesError(f"the study's mode must be {study.directions[0]}, as in {path.name}, but is {mode}")
    return _raw(study.trials, path.name)


def tasks_of(path: Path) -> list[str]:
    """Returns the names of a storage's studies."""
    return list(_studies(path))


def _studies(path: Path) -> dict[str, Study]:
    with path.open("rb") as file:
        return _sqlite(path) if file.read(len(MAGIC)) == MAGIC else _journal(path)


def _raw(trials: Iterable[Trial], source: str) -> Raw:
    begun = [t for t in trials if t.config and (t.steps or t.value is not None or t.state == "FAIL")]
    reported = [step for trial in begun for step in trial.steps]
    shift = 1 if 0 in reported else 0
    curves = []
    for trial in begun:
        points = {step + shift: value for step, value in trial.steps.items()}
        if not reported and trial.value is not None:
            points = {1: trial.value}
        curves.append(in_order(points, f"{source} must report every step", trial.config))
    names = list(dict.fromkeys(name for trial in begun for name in trial.config))
    whole = np.array([t.seconds / max(1, len(c)) for t, c in zip(begun, curves, strict=True)])
    failed = [t.state == "FAIL" or not np.isfinite(c).all() for t, c in zip(begun, curves, strict=True)]
    return Raw(
        names,
        [[trial.config.get(name) for name in names] for trial in begun],
        matrix(curves),
        np.where(whole > 0, whole, 1.0),
        np.array(failed, dtype=bool),
        trials=True,
    )


# -- the three places ---------------------------------------------------------------------------------------------


def _sqlite(path: Path) -> dict[str, Study]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            found = {
                key: (name, Study([DIRECTIONS[d] for (d,) in database.execute(
                    "SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective", (key,))]))
                for key, name in database.execute("SELECT study_id, study_name FROM studies")
            }  # fmt: skip
            trials: dict[int, Trial] = {}
            for key, study, state, began, ended in database.execute(
                "SELECT trial_id, study_id, state, datetime_start, datetime_complete FROM trials ORDER BY trial_id"
            ):
                trials[key] = Trial(state, began=began, ended=ended)
                found[study][1].trials.append(trials[key])
            for key, name, value, distribution in database.execute(
                "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params ORDER BY param_id"
            ):
                trials[key].config[name] = _external(value, json.loads(distribution))
            for key, step, value, kind in database.execute(
                "SELECT trial_id, step, intermediate_value, intermediate_value_type FROM trial_intermediate_values"
            ):
                trials[key].steps[step] = value if kind == "FINITE" else math.nan
            for key, value, kind in database.execute("SELECT trial_id, value, value_type FROM trial_values"):
                trials[key].value = value if kind == "FINITE" else math.nan
        except sqlite3.Error as error:
            raise CurvesError(f"{path.name} must be a storage of Optuna, but: {error}") from None
    return dict(found.values())


def _journal(path: Path) -> dict[str, Study]:
    """Replays the journal's operations in order; studies and trials are numbered in the order of their creation."""
    studies: list[tuple[str, Study] | None] = []
    trials: list[Trial] = []
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the torn last line of a process that was killed
        operation = entry["op_code"]
        if operation == STUDY:
            if all(
                study is None or study[0] != entry["study_name"] for study in studies
            ):  # the first of racing processes wins
                studies.append((entry["study_name"], Study([DIRECTIONS[d] for d in entry["directions"]])))
        elif operation == DELETED:
            studies[entry["study_id"]] = None
        elif operation == TRIAL:
            known = studies[entry["study_id"]]
            if known is not None:
                trials.append(_begun(entry))
                known[1].trials.append(trials[-1])
        elif operation in (PARAM, STATE, VALUE) and trials[entry["trial_id"]].open:
            _told(trials[entry["trial_id"]], operation, entry)
    return dict(study for study in studies if study is not None)


def _begun(entry: Mapping[str, Any]) -> Trial:
    """Returns a trial as it was created; a trial that was added whole is complete here."""
    described = {name: json.loads(text) for name, text in entry.get("distributions", {}).items()}
    return Trial(
        state=STATES[entry.get("state", 0)],
        config={name: _external(value, described[name]) for name, value in entry.get("params", {}).items()},
        steps={int(step): _finite(value) for step, value in entry.get("intermediate_values", {}).items()},
        value=entry.get("value") if entry.get("values") is None else entry["values"][0],
        began=entry["datetime_start"],
        ended=entry.get("datetime_complete"),
    )


def _told(trial: Trial, operation: int, entry: Mapping[str, Any]) -> None:
    if operation == PARAM:
        trial.config[entry["param_name"]] = _external(entry["param_value_internal"], json.loads(entry["distribution"]))
    elif operation == VALUE:
        trial.steps[entry["step"]] = _finite(entry["intermediate_value"])
    else:
        trial.state = STATES[entry["state"]]
        trial.began, trial.ended = entry.get("datetime_start", trial.began), entry.get("datetime_complete", trial.ended)
        if entry["values"] is not None:
            trial.value = entry["values"][0]


def read_dataframe(whole: Any, source: str) -> Raw:
    """Converts `study.trials_dataframe()`; it holds curves if `intermediate_values` is among its attrs."""
    columns = whole.column_names
    values = [name for name in columns if name == "value" or name.startswith(("value_", "values_"))]
    if len(values) > 1:
        raise CurvesError(f"{source}'s study must have one objective, but has {', '.join(values)}")
    params = [name for name in columns if name.startswith("params_")]
    steps = {int(name.rpartition("_")[2]): name for name in columns if name.startswith("intermediate_values_")}
    trials = []
    for row in whole.to_pylist():
        state = row["state"]
        told = {step: row[name] for step, name in steps.items() if row[name] is not None}
        value = row[values[0]] if values else None
        trials.append(
            Trial(
                state,
                _row_config(row, params, measured=bool(told) or value is not None),
                {step: _finite(v) for step, v in told.items()},
                None if value is None or state != "COMPLETE" else float(value),
                *(
                    None if (at := row.get(name)) is None else str(at)
                    for name in ("datetime_start", "datetime_complete")
                ),
            )
        )
    return _raw(trials, source)


def _row_config(row: Mapping[str, Any], params: Sequence[str], measured: bool) -> dict[str, Any]:
    """Returns a row's parameters: an empty cell is None, or a parameter that the trial did not ask for.

    A row without any value, of a parameter or a result, is a trial that never began: it has no parameters.
    """
    found = {name.removeprefix("params_"): row[name] for name in params}
    return found if measured or any(value not in (None, "") for value in found.values()) else {}


def _external(value: Any, distribution: Mapping[str, Any]) -> Any:
    """Returns a parameter as the objective saw it: Optuna stores a choice by its index, a whole number as a float."""
    if distribution["name"] == "CategoricalDistribution":
        return distribution["attributes"]["choices"][int(value)]
    return int(value) if distribution["name"].startswith("Int") else value


def _finite(value: Any) -> float:
    return math.nan if value is None or not math.isfinite(float(value)) else float(value)
