"""A study whole: its summary, its runs, what was really trained, its space, its exams. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from hpo.report import palette
from hpo.results.standing import charge
from hpo.service.answers.curves import metrics
from hpo.service.answers.runs import run_list, trained_epochs
from hpo.store import StudyData
from hpo.store.columns import labels
from hpo.store.failures import failed_exams, without_result
from hpo.store.state import PLAYED
from hpo.study.space_file import entries

if TYPE_CHECKING:
    from hpo.service.context import Reading

OCCUPANCY = ("slots", "busy", "starting", "waiting")


def study(reading: Reading, data: StudyData, verdict: str | None) -> dict[str, Any]:
    """Returns all of a study but its tables. `data`: as its charges give it. `verdict`: in sentences, if it is known."""
    definition = data.definition
    figures = reading.figures if reading.state.word in PLAYED else None
    return {
        **reading.summary.to_json(),
        "state": reading.state.to_json(),
        "seeds_list": list(definition.get("seeds", ())),
        "folds": charge(data),
        "max_epochs": definition["budget"].get("max_epochs"),
        "parallelism": definition.get("parallelism"),
        "run_list": run_list(data),
        "looks": looks(data),
        "occupancy": None if figures is None else {name: int(figures.get(name) or 0) for name in OCCUPANCY},
        "physical": _physical(data, figures or {}),
        "trials": _trials(data),
        "failure": without_result(data) or None,
        "failed_exams": failed_exams(data) or None,
        "exams": [_exam(row) for row in data.exams.to_pylist()],
        "job": reading.job,
        "verdict_sentence": verdict,
        "space": space(definition),
        "metrics": metrics(data),
        "warnings": list(data.warnings),
        "version": reading.version,
    }


def looks(data: StudyData) -> dict[str, Any]:
    """Returns how each method is drawn; of many, those with the best values have a colour."""
    sign = 1.0 if data.definition["mode"] == "max" else -1.0
    best: dict[str, float] = {}
    for row in data.runs.to_pylist():
        value = row["incumbent_value"]
        if value is not None and math.isfinite(value):
            best[row["method"]] = max(best.get(row["method"], -math.inf), sign * value)
    names = labels(data.definition, data.runs)
    drawn = palette.looks(names, sorted(best, key=lambda name: -best[name]))
    return {name: {"tint": look.tint.name, "dash": list(look.dash[1])} for name, look in drawn.items()}


def _trials(data: StudyData) -> int:
    """Returns the number of different trials, also those that failed before any run had asked for a result."""
    return len({trial for table in (data.trials, data.failures) for trial in pc.unique(table["trial"]).to_pylist()})


def _physical(data: StudyData, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what was really trained, and what is left as the driver tells it."""
    left, seconds = figures.get("left_epochs"), figures.get("seconds_left")
    trained = trained_epochs(data)
    return {
        "trained_epochs": trained,
        "left_epochs": left,
        "epochs_per_second": left / seconds if left and seconds else None,
        "seconds_left": seconds,
        "wasted_epochs": data.epochs.num_rows - trained,
    }


def _exam(row: Mapping[str, Any]) -> dict[str, Any]:
    own = ("trial", "exam", "epoch", "reason")
    found = {name: value for name, value in row.items() if name not in own and isinstance(value, float)}
    return {**{name: row[name] for name in own}, "metrics": found}


def space(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the hyperparameters in the study's order."""
    found = []
    for name, entry in entries(definition.get("space", {})).items():
        condition = {k: v if isinstance(v, list) else [v] for k, v in (entry.get("if") or {}).items()}
        found.append(
            {
                "name": name, "kind": entry["type"], "low": entry.get("low"), "high": entry.get("high"),
                "log": bool(entry.get("log")), "step": entry.get("step"), "values": entry.get("values"),
                "condition": condition or None,
            }
        )  # fmt: skip
    return found
