"""Checks that rows are whose they claim to be: trials by the digest of their content, runs by method and seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpo.store import columns, schema
from hpo.store.reader import StudyData
from hpo.study.space_file import entries
from hpo.study.study import Study

SHOWN = 3  # problems of one kind that are named


def names(data: StudyData) -> Iterator[str]:
    """Checks that every row names this study, and that a run's name, method and seed agree."""
    for table in schema.TABLES:
        found = getattr(data, table)
        if "study" in found.column_names:
            others = [name for name in pc.unique(found["study"]).to_pylist() if name != data.name]
            if others:
                yield f"{table} has rows of the study {others[0]!r}"
    for table in ("charges", "trials", "runs"):
        found = getattr(data, table)
        if found.num_rows and {"run", "method", "seed"} <= set(found.column_names):
            for row in _distinct(found, ["run", "method", "seed"]):
                if row["run"] != f"{row['method']}/{row['seed']}":
                    yield f"{table} has the run {row['run']} with method {row['method']} and seed {row['seed']}"


def trials(data: StudyData, study: Study) -> Iterator[str]:
    """Checks that each trial's name is the digest of its configuration, its seed and its max_epochs.

    A trial that has no epochs was made for one of the max_epochs that other trials of its run have, or the study's.
    """
    space: Mapping[str, Any] = entries(data.definition["space"])
    known: dict[str, dict[str, Any]] = {}
    wrong = []
    for row in _distinct(data.epochs, ["trial", "seed", "max_epochs", *_configs(data.epochs)]):
        known.setdefault(row["trial"], row)
        if (
            row["seed"] is None
            or row["max_epochs"] is None
            or _name(study, row, space, row["max_epochs"]) != row["trial"]
        ):
            wrong.append(row["trial"])
    yield from _sentences("epochs", wrong)
    wrong = []
    lengths = {row["max_epochs"] for row in known.values()} | {study.budget.max_epochs, *_lengths(data.definition)}
    for row in _distinct(data.trials, ["trial", "seed", *_configs(data.trials)]):
        mine = [known[row["trial"]]["max_epochs"]] if row["trial"] in known else sorted(lengths)
        if all(_name(study, row, space, most) != row["trial"] for most in mine):
            wrong.append(row["trial"])
    yield from _sentences("trials", wrong)


def _sentences(table: str, wrong: list[str]) -> Iterator[str]:
    for trial in wrong[:SHOWN]:
        yield f"{table}: the name of trial {trial} does not follow from its task, configuration, seed and max_epochs"
    if len(wrong) > SHOWN:
        yield f"{table}: the same holds for {len(wrong) - SHOWN} more trials"


def _name(study: Study, row: Mapping[str, Any], space: Mapping[str, Any], most: Any) -> str:
    try:
        return study.key(columns.config(row, space), row["seed"], most).id
    except ValueError:  # NaN, which no configuration has
        return ""


def _lengths(definition: Mapping[str, Any]) -> set[int]:
    """Returns the max_epochs that methods set themselves."""
    own = ((method.get("options") or {}).get("max_epochs") for method in definition["methods"])
    return {length for length in own if isinstance(length, int)}


def _configs(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name.startswith(columns.PREFIX)]


def _distinct(table: pa.Table, names: list[str]) -> list[dict[str, Any]]:
    if not table.num_rows:
        return []
    found: list[dict[str, Any]] = table.select(names).group_by(names).aggregate([]).to_pylist()
    return found
