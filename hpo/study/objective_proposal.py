"""Proposes a study for an objective of Optuna, whose space was found by calling it. Pure: returns the file's parts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hpo.study.proposal import Part

if TYPE_CHECKING:
    from trainables.adapters.optuna_space import FoundSpace

PLAIN = re.compile(r"(?!(?:true|false|null)$)[A-Za-z][\w.-]*")  # texts that need no quotes in a study file


def for_objective(name: str, trainable: str, found: FoundSpace) -> list[Part]:
    """Returns the parts of a study that plays an objective."""
    longest = 10 if found.reports is None else max(1, found.reports)
    return [
        ("", f"study: {name}\ntrainable: {_value(trainable)}"),
        _space(found),
        _budget(found, longest),
        (
            "The baseline that is hard to beat, two models of what was seen"
            + (", and early stopping. `hpo methods` lists others." if longest > 1 else ". `hpo methods` lists others."),
            f"methods: [random, bayesian, tpe{', {asha: {min_epochs: 1, eta: 4}}' if longest > 1 else ''}]",
        ),
        (
            "Each method runs once per seed. Six are the fewest with which a method can be shown to be better.",
            "seeds: [0, 1, 2, 3, 4, 5]",
        ),
        ("One CPU core per trial.", "resources: {cpus: 1}"),
        (
            "`value` is what the objective reports or returns. Optuna minimizes by default; write max where larger is better.",
            "metric: value\nmode: min",
        ),
        ("Where the results go: a folder, or s3://bucket/prefix.", "store: results"),
    ]  # fmt: skip


def _space(found: FoundSpace) -> Part:
    about = (
        "What is searched, as the objective suggested it when it was called with each choice in turn, up to its first report. "
        "Not seen: what it suggests later, or only where two choices differ from their first at once. "
    )
    lines = [f"  {_value(name)}: {_value(entry)}" for name, entry in found.space.items()]
    return about + " ".join(found.remarks), "\n".join(["space:", *lines])


def _budget(found: FoundSpace, longest: int) -> Part:
    counted = {
        None: "The objective's reports were not counted, because they took too long: write how many there are",
        0: "The objective reports nothing, so that it is one epoch",
    }.get(found.reports, f"The objective reports {longest} times")
    about = (
        f"{counted}; a report is an epoch. Every run may train {20 * longest} epochs, as many as 20 whole trials, and no "
        f"trial more than {longest}."
    )
    return about, f"budget: {{epochs: {20 * longest}, max_epochs: {longest}}}"


def _value(value: Any) -> str:
    """Returns a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)}: {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, str) and (PLAIN.fullmatch(value) or re.fullmatch(r"optuna:[\w.]+:[\w.]+", value)):
        return value
    return json.dumps(value, ensure_ascii=False)
