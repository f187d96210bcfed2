"""The report's sections of record: the ledger, the environment, how to repeat the study. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
from markupsafe import Markup

from hpo.report.parts import Command, Folded, Part, Section, Text, table
from hpo.report.tables import Cell, Column, Table
from hpo.results.standing import current
from hpo.store import StudyData
from hpo.study.environment import nodes
from hpo.study.stored import file_values, to_yaml

_ELSEWHERE = (
    "command",
    "trained on: data counts",
    "trained on: node",
)  # facts that other places show: the section below, a bundle's card


def ledger(data: StudyData) -> Section:
    """Returns every run's charged and shared epochs, and those trained again after faults, as its charges give them."""
    data = current(data)
    again = int(pc.sum(pc.greater(data.epochs["attempt"], 0)).as_py() or 0)
    trained, charged = data.epochs.num_rows - again, sum(run["charged_epochs"] for run in data.runs.to_pylist())
    lead = (
        "No epoch has been charged yet."
        if not charged
        else (
            f"{charged:,} epochs were charged to {_count(data.runs.num_rows, 'run')}, and {trained:,} were trained: a "
            "configuration that several runs ask for is trained once and charged to each of them."
        )
    )
    lead += f" After faults, {again:,} were trained again; these are charged to no run." if again else ""
    return Section("ledger", "The ledger", [Text(f"{lead} {_budgets(data)}".rstrip()), table(ledger_table(data))])


def _budgets(data: StudyData) -> str:
    """Returns how far the runs have come with their budgets, in a sentence or two; nothing before the first run."""
    runs = data.runs.to_pylist()
    planned = len(data.definition.get("methods", ())) * len(data.definition.get("seeds", ()))
    missing = max(0, planned - len(runs))
    unbegun = f"{_count(missing, 'run')} of the study {'has' if missing == 1 else 'have'} not begun." if missing else ""
    whole = sum(_spent(run)[0] == _spent(run)[1] for run in runs)
    if whole == len(runs):
        said = f"Every run {'that has begun ' if missing else ''}used exactly its budget." if runs else ""
        return f"{said} {unbegun}".strip()
    left = sum(run["status"] != "complete" and _spent(run)[0] < _spent(run)[1] for run in runs)
    ended = len(runs) - whole - left
    told = [f"{whole} of {_count(len(runs), 'run')} used exactly the budget"]
    told += [f"{left} {'has' if left == 1 else 'have'} some of it left"] if left else []
    told += [f"{ended} ended before it, for the reason under remark"] if ended > 0 else []
    return f"{'; '.join(told)}. {unbegun}".rstrip()


def _spent(run: Mapping[str, Any]) -> tuple[float, float]:
    """Returns what a run was charged and its budget, in what the budget counts."""
    if run.get("budget_cost") is not None:
        return run["charged_cost"] or 0.0, run["budget_cost"]
    return run["charged_epochs"], run["budget_epochs"]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def ledger_table(data: StudyData) -> Table:
    """Returns one row a run: its budget, charged epochs, trials and training time, as its charges give them."""
    runs = current(data).runs.to_pylist()
    columns: tuple[Column, ...] = (
        Column("run", "run", "text"), Column("status", "status", "text"), Column("budget", "budget_epochs", "count"),
        Column("budget", "budget_cost", "value"), Column("charged cost", "charged_cost", "value"),
        Column("charged", "charged_epochs", "count"), Column("shared", "shared_epochs", "count"),
        Column("wasted", "wasted_epochs", "count"), Column("trials", "trials", "count"),
        Column("failed", "failed_trials", "count"), Column("training time", "train_seconds", "seconds"),
        Column("remark", "reason", "text"),
    )  # fmt: skip
    always = ("run", "status", "charged_epochs", "shared_epochs", "wasted_epochs", "trials", "failed_trials")
    columns = tuple(c for c in columns if c.key in always or any(run.get(c.key) not in (None, "") for run in runs))
    rows = tuple(tuple(run.get(column.key) for column in columns) for run in runs)
    note = (
        "Budget, charged, shared and wasted are epochs. Shared: charged to this run and to another, but trained once. "
        "Wasted: trained again after a fault and not charged."
    )
    return Table(f"{data.name}: ledger of every run", columns, rows, note)


def environment(data: StudyData) -> Section:
    """Returns the versions, hardware, data digest and git commit behind the results."""
    found = environment_table(data)
    text = Text("The store holds nothing about the study's environment.")
    return Section("environment", "Environment", [table(found) if found.rows else text])


def environment_table(data: StudyData) -> Table:
    """Returns one row a fact; none if the store holds none."""
    columns = (Column("fact", "what", "text"), Column("value", "value", "text"))
    rows: list[tuple[Cell, ...]] = [fact for fact in _flat(data.environment) if fact[0] not in _ELSEWHERE]
    rows += [(_count(len(hosts), "node"), kind) for kind, hosts in _nodes(data).items()]
    return Table(f"{data.name}: environment of the study", columns, tuple(rows))


def _nodes(data: StudyData) -> dict[str, list[str]]:
    """Returns what the nodes of workers were, in words, each with its hosts: usually one kind."""
    found: dict[str, list[str]] = {}
    for host, about in nodes(data.environment).items():
        packages = ", ".join(f"{name} {version}" for name, version in about.get("packages", {}).items())
        what = f"{about.get('processor')}, {about.get('cpus')} CPUs, {about.get('memory_gib')} GiB, Python {about.get('python')}"
        found.setdefault(f"{what}, {packages}", []).append(host)
    return found


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Cell]]:
    """Flattens nested entries into one list, named `outer: inner`."""
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
    """Returns the command that repeats the study: the one that started it, if the store holds it."""
    known = data.environment.get("command")
    return str(known) if known else shlex.join(["hpo", "run", f"{data.name}.yaml", "--store", uri])


def repeat(data: StudyData, command: str) -> Section:
    """Returns the command that repeats the study, and the resolved study as a file's text."""
    parts: list[Part] = [
        Text(
            "On an empty store this command repeats the study with the same decisions; on this store it continues from the "
            "stored results."
        ),
        Command(command),
        Folded(
            f"The resolved study: save it as {data.name}.yaml",
            Markup("<pre><code>{}</code></pre>").format(study_yaml(data)),
        ),
    ]
    return Section("repeat", "Repeat it", parts)


def study_yaml(data: StudyData) -> str:
    """Returns the stored definition as a study file's text."""
    return to_yaml(file_values(data.definition))
