"""The report's sections of record: the ledger, the environment, how to repeat the study. Pure."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hpo.report.parts import Command, Folded, Part, Section, Text, table
from hpo.report.tables import Cell, Column, Table
from hpo.store import StudyData


def ledger(data: StudyData) -> Section:
    """What every run was charged for, what was shared, what was trained twice after faults."""
    runs = data.runs.to_pylist()
    trained = sum(1 for attempt in data.epochs.column("attempt").to_pylist() if not attempt)
    again = data.epochs.num_rows - trained
    charged = sum(run["charged_epochs"] for run in runs)
    exact = all(run["charged_epochs"] == run["budget_epochs"] for run in runs)
    lead = (
        f"{charged:,} epochs were charged to {len(runs)} runs; {trained:,} were trained for them, because a "
        "configuration that several runs ask for is trained once and charged to each."
    )
    lead += f" {again:,} more were trained again after faults and charged to nobody." if again else ""
    lead += " Every run used its whole budget, to the epoch." if exact else ""
    return Section("ledger", "The ledger", [Text(lead), table(ledger_table(data))])


def ledger_table(data: StudyData) -> Table:
    """A row a run: its budget, what it was charged for, its trials, its time."""
    runs = data.runs.to_pylist()
    columns: tuple[Column, ...] = (
        Column("run", "run", "text"), Column("status", "status", "text"), Column("budget", "budget_epochs", "count"),
        Column("charged", "charged_epochs", "count"), Column("shared", "shared_epochs", "count"),
        Column("wasted", "wasted_epochs", "count"), Column("trials", "trials", "count"),
        Column("failed", "failed_trials", "count"), Column("training time", "train_seconds", "seconds"),
        Column("remark", "reason", "text"),
    )  # fmt: skip
    if not any(run["reason"] for run in runs):
        columns = columns[:-1]
    rows = tuple(tuple(run[column.key] for column in columns) for run in runs)
    note = (
        "Epochs. Shared: charged to this run and to another one too, trained once. Wasted: trained again after a fault, "
        "not charged."
    )
    return Table(f"{data.name}: ledger of every run", columns, rows, note)


def environment(data: StudyData) -> Section:
    """Versions, hardware, data digest, git commit: what the results were made with."""
    found = environment_table(data)
    text = Text("The store says nothing about the environment that the study ran in.")
    return Section("environment", "Environment", [table(found) if found.rows else text])


def environment_table(data: StudyData) -> Table:
    """A row a fact; none where the store has none."""
    columns = (Column("what", "what", "text"), Column("value", "value", "text"))
    rows = tuple((name, value) for name, value in _flat(data.environment) if name != "command")
    return Table(f"{data.name}: what the study ran on", columns, rows)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Cell]]:
    """Nested entries in one list, named `outer: inner`."""
    found: list[tuple[str, Cell]] = []
    for name, value in tree.items():
        title = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{title}: ")
        elif isinstance(value, list | tuple):
            found.append((title, ", ".join(map(str, value)) or "none"))
        elif value is not None:
            found.append((title, str(value)))
    return found


def command_of(data: StudyData, uri: str) -> str:
    """What repeats the study: the command that began it, where the store knows it."""
    known = data.environment.get("command")
    return str(known) if known else shlex.join(["hpo", "run", f"{data.name}.yaml", "--store", uri])


def repeat(data: StudyData, command: str) -> Section:
    """The exact command, and the study as it was resolved, ready to be saved as a file."""
    parts: list[Part] = [
        Text(
            "The same command on an empty store plays the same game again; on this store it goes on from what is there."
        ),
        Command(command),
        Folded(
            f"The study, as it was resolved, to be saved as {data.name}.yaml",
            Markup("<pre><code>{}</code></pre>").format(study_yaml(data)),
        ),
    ]
    return Section("repeat", "Repeat it", parts)


def study_yaml(data: StudyData) -> str:
    """The stored definition as a study file's text."""
    from ruamel.yaml import YAML

    definition = {key: value for key, value in data.definition.items() if value not in (None, {}, [])}
    if "methods" in definition:
        definition["methods"] = [_method(method) for method in definition["methods"]]
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    buffer = io.StringIO()
    yaml.dump(definition, buffer)
    return buffer.getvalue()


def _method(method: Mapping[str, Any]) -> str | dict[str, Any]:
    options = dict(method.get("options") or {})
    if method["label"] != method["name"]:
        options["label"] = method["label"]
    return {method["name"]: options} if options else str(method["name"])
