"""The space of a recorded table: its configurations as candidates, over the domains that their values span. Reads tables.

A public benchmark declares its space itself, and which of its tasks recorded configurations that were drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo.replay.sources import CurvesError, configs_of, named, raw
from hpo.replay.sources.table import missing, without_constants
from hpo.study import candidates
from hpo.study.domains import Choice, Domain
from hpo.study.space_file import entry_of, section_of
from hpo.study.study import Study
from hpo.study.suite import Spaces
from hpo.text import shown

Row = dict[str, Any]


def spaces_of(source: str, *, wanted: bool, task: str | None = None) -> Spaces:
    """Returns what derives the spaces of tasks from a table, for those that say `space: from-table` or, if `wanted`, for all.

    Hyperparameters that a task's space describes keep their domains; the others get one for all tasks. `task`: the one of
    the table that a study without tasks is played for. Raises CurvesError.
    """

    def spaces(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        asked = {name: values for name, values in tasks.items() if wanted or candidates.from_table(values.get("space"))}
        if (benchmark := named(source)) is not None:
            return {n: {**section_of(benchmark.candidates(n or task)), **_given(values)} for n, values in asked.items()}
        rows = {name: _rows(source, name or task, values) for name, values in asked.items()}
        everywhere = [_plain(row) for row in configs_of(source)] if rows else []  # whichever tasks are asked for
        return {
            name: {**_entries(everywhere or own, source), **_given(asked[name]), candidates.KEY: own}
            for name, own in rows.items()
        }

    return spaces


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the domains that a study describes itself."""
    space = values.get("space")
    return (
        {name: entry for name, entry in space.items() if name != candidates.KEY} if isinstance(space, Mapping) else {}
    )


def _rows(source: str, task: str | None, values: Mapping[str, Any]) -> list[Row]:
    """Returns the recorded configurations of a task."""
    metric = values.get("metric", Study.model_fields["metric"].default)
    if not isinstance(metric, str):
        raise CurvesError(f"a space from a table needs the study's metric, but got {shown(metric)}")
    found = raw(source, metric, task, None)
    found = without_constants(found) if found.trials else found
    return [_plain(dict(zip(found.names, row, strict=True))) for row in found.rows]


def _plain(row: Row) -> Row:
    """Returns a row as a study file has it, without its empty cells."""
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in row.items() if not missing(value)}


def _entries(rows: Sequence[Row], source: str) -> dict[str, Any]:
    """Returns the entries of a space that all rows fit; a hyperparameter that some rows lack depends on another one."""
    domains = candidates.domains_of(rows, {})
    return {
        name: entry_of(domain)
        | ({} if all(name in row for row in rows) else {"if": _condition(name, rows, domains, source)})
        for name, domain in domains.items()
    }


def _condition(name: str, rows: Sequence[Row], domains: Mapping[str, Domain], source: str) -> dict[str, list[Any]]:
    """Returns the choice of fewest options, with those of its values, that tells which rows have a hyperparameter."""
    choices = {other: domain for other, domain in domains.items() if isinstance(domain, Choice) and other != name}
    for parent in sorted(choices, key=lambda other: len(choices[other].options)):
        if not all(parent in row for row in rows):
            continue
        with_it = {row[parent] for row in rows if name in row}
        if with_it.isdisjoint(row[parent] for row in rows if name not in row):
            return {parent: sorted(with_it, key=lambda value: (str(type(value)), value))}
    raise CurvesError(
        f"{source} must have {name} for every configuration, or for certain values of another hyperparameter, but some rows "
        "have an empty cell that no other column explains; describe the space in the study file"
    )
