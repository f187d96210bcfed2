"""The files of a bundle that follow from its tables alone: comparison, importance, report, methods, environment, card.

Of a suite, comparison and report are over its tasks, and the other files lie below tasks/STUDY, with each task's comparison.

`make` writes them, `verify` derives them again: one function for both. Needs neither the data nor what trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from hpo.bundle.card import UNKNOWN, data_card
from hpo.bundle.held import Held
from hpo.methods import METHODS, defaults
from hpo.report.comparison_tables import render_comparison
from hpo.report.html import page, tasks_page
from hpo.report.importance_tables import render_importance
from hpo.report.record_section import command_of
from hpo.results.compare import compare, compare_many
from hpo.results.importance import Importance, importance_or_none
from hpo.results.values import Comparison
from hpo.store import StudyData, agreement
from hpo.study.environment import nodes
from hpo.study.stored import file_values, to_yaml
from hpo.text import plain

COMPARISON, IMPORTANCE, REPORT = "comparison.json", "importance.json", "report.html"
Stored: TypeAlias = tuple[StudyData, Mapping[str, Any]]
"""A study and its head, as `hpo.store.reader.head` reads it."""

STUDY, METHODS_FILE, ENVIRONMENT, CARD = "study.yaml", "methods.json", "environment.json", "data-card.json"


def derived(held: Held, studies: Sequence[Stored]) -> dict[str, bytes]:
    """Returns every derived file by name."""
    tables = [data for data, _ in studies]
    command = "\n".join(dict.fromkeys(command_of(data, str(data.definition.get("store", ""))) for data in tables))
    shares, found = dict[str, Importance](), dict[str, str]()
    for data, head in studies:
        comparison, importance = compare(data), importance_or_none(data, seed=0)
        of_study = _of_study(data, head, comparison, importance)
        found |= {held.path(data.name, name): text for name, text in of_study.items()}
        if importance is not None:
            shares[data.name] = importance
        if not held.suite:
            found[REPORT] = page(data, comparison, importance, command=command)
    if held.suite:
        whole = compare_many(tables)
        found[COMPARISON] = render_comparison(whole, "json")
        found[REPORT] = tasks_page(tables, whole, shares, command=command)
    return {name: text.encode() for name, text in found.items()}


def _of_study(
    data: StudyData, head: Mapping[str, Any], comparison: Comparison, importance: Importance | None
) -> dict[str, str]:
    found = {
        COMPARISON: render_comparison(comparison, "json"),
        STUDY: study_file(data, head),
        METHODS_FILE: as_json(_methods(data, head)),
        ENVIRONMENT: as_json(_environment(data)),
        CARD: as_json(data_card(data)),
    }
    if importance is not None:
        found[IMPORTANCE] = render_importance(importance, "json")
    return found


def as_json(value: object) -> str:
    """Returns indented JSON that ends its last line."""
    return json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False, default=str) + "\n"


# -- the study ----------------------------------------------------------------------------------------------------


def stored_methods(data: StudyData, head: Mapping[str, Any]) -> dict[str, agreement.Entry]:
    """Returns by label the methods whose runs the store holds, also those that the last command left out."""
    played = dict.fromkeys(data.runs["method"].to_pylist() + data.charges["method"].unique().to_pylist())
    known = agreement.methods(head, data.runs.to_pylist())
    return {label: known[label] for label in played if label in known} or known


def stored_seeds(data: StudyData) -> list[int]:
    """Returns the seeds that the store has runs of, in the study's order where it names them."""
    found = {*data.runs["seed"].to_pylist(), *data.charges["seed"].unique().to_pylist()}
    named = [int(seed) for seed in data.definition.get("seeds", ())]
    return [seed for seed in named if seed in found or not found] + sorted(found - set(named))


def study_values(data: StudyData, head: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the resolved study as the values of a study file, with the methods and seeds that the store has runs of."""
    entries = [{"label": label, **entry} for label, entry in stored_methods(data, head).items()]
    return {**file_values(data.definition, entries), "seeds": stored_seeds(data)}


def study_file(data: StudyData, head: Mapping[str, Any]) -> str:
    """Returns the resolved study as the text of a study file."""
    return to_yaml(study_values(data, head))


def _methods(data: StudyData, head: Mapping[str, Any]) -> dict[str, Any]:
    found = []
    for label, entry in stored_methods(data, head).items():
        name = str(entry["name"])
        given = dict(entry.get("options", {}))
        found.append(
            {
                "label": label,
                "name": name,
                "origin": "hpo-arena" if name in METHODS else "a user or third party: see the packages",
                "options": {**defaults(name), **given},
                "options_given": given,
                "parallelism": entry.get("parallelism", data.definition.get("parallelism")),
            }
        )
    packages = {name: list(versions) for name, versions in agreement.decided_with(data.environment).items()}
    return {"methods": found, "packages_that_decided": packages or UNKNOWN}


# -- the environment ----------------------------------------------------------------------------------------------


def _environment(data: StudyData) -> dict[str, Any]:
    """Returns the stored environment of the driver, the image if a run knew it, and each node's with what it trained."""
    known = nodes(data.environment)
    trained: dict[str, dict[str, Any]] = {}
    for worker in data.epochs["worker"].to_pylist():
        host, _, process = str(worker).rpartition(":")
        node = trained.setdefault(host or UNKNOWN, {"processes": set(), "epochs": 0})
        node["processes"].add(process)
        node["epochs"] += 1
    return {
        "driver": dict(data.environment) or UNKNOWN,
        "image": data.environment.get("image", UNKNOWN),
        "nodes": [
            {
                "host": host,
                "processes": len(node["processes"]),
                "epochs": node["epochs"],
                "environment": known.get(host, UNKNOWN),
            }
            for host, node in sorted(trained.items())
        ],
        "trained_on": {k: v for k, v in data.environment.get("trained_on", {}).items() if k != "node"} or UNKNOWN,
    }
