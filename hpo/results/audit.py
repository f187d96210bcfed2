"""Audits a study's comparison: derives it again from the trained epochs alone and lists every difference. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.results.compare import compare
from hpo.results.standing import sums
from hpo.results.values import Comparison, MethodSummary, RunSummary
from hpo.store import StoreError
from hpo.store import columns as stored
from hpo.store.checks.head import stored_study

if TYPE_CHECKING:
    from hpo.store import StudyData

OF_RUNS = ("charged_epochs", "wall_seconds", "area", "value")
IN_THE_END = ("shared_epochs", "wasted_epochs", "train_seconds")  # these change as long as other runs go on
OF_METHODS = ("mean", "ci95", "mean_rank", "best", "epochs_to_target", "error_drop")
LEFT_OUT = ("train_seconds", "incumbent_trial", "incumbent_epoch", "incumbent_value")  # derived from the charges
CLOSE = 1e-9  # relative tolerance: sums may run in another order


def audit(data: StudyData) -> list[str]:
    """Returns a sentence for every figure of the comparison that the epochs do not confirm; none before the first charge.

    A study that is not whole can be compared by nobody; `hpo.store.verify` says what it lacks.
    """
    if not data.charges.num_rows or not data.runs.num_rows or not _whole(data):
        return []
    said, derived = compare(data), compare(from_epochs(data))
    return [*_runs(said, derived), *_methods(said, derived), *_verdicts(said, derived)]


def _whole(data: StudyData) -> bool:
    try:
        stored_study(data)
    except StoreError:
        return False
    return True


def from_epochs(data: StudyData) -> StudyData:
    """Returns the study with every value, sum and incumbent derived from its epochs; only orders and ends are trusted."""
    charges = data.charges
    epochs = data.epochs.filter(pc.equal(data.epochs["attempt"], 0))
    metric = str(data.definition["metric"])
    trained = epochs.select(["trial", "epoch"]).append_column("found", pa.array(stored.numbers(epochs, metric)))
    place = pa.array(np.arange(charges.num_rows))
    joined = charges.append_column("place", place).join(trained, ["trial", "epoch"]).sort_by("place")
    joined = joined.set_column(joined.column_names.index("value"), "value", joined["found"])
    charges = joined.select(charges.column_names)
    if metric in epochs.column_names:  # otherwise there is nothing to compare with
        data = replace(data, charges=charges)
    found = sums(data)
    rows = [{**row, **found.get(row["run"], {}), **dict.fromkeys(LEFT_OUT)} for row in data.runs.to_pylist()]
    return replace(data, runs=pa.Table.from_pylist(rows, schema=data.runs.schema))


def _runs(said: Comparison, derived: Comparison) -> Iterator[str]:
    names = (*OF_RUNS, *(IN_THE_END if all(run.complete for run in said.runs) else ()))
    for a, b in zip(said.runs, derived.runs, strict=True):
        wrong = [name for name in names if a.complete and not _same(getattr(a, name), getattr(b, name))]
        yield from (_sentence(f"run {a.method}/{a.seed}", name, a, b) for name in wrong)


def _methods(said: Comparison, derived: Comparison) -> Iterator[str]:
    for a, b in zip(said.methods, derived.methods, strict=True):
        wrong = [name for name in OF_METHODS if not _same(getattr(a, name), getattr(b, name))]
        yield from (_sentence(f"method {a.method}", name, a, b) for name in wrong)


def _verdicts(said: Comparison, derived: Comparison) -> Iterator[str]:
    for a, b in zip(said.tests, derived.tests, strict=True):
        if a.verdict != b.verdict:
            yield f"methods {a.a} (a) and {a.b} (b): the comparison reports {a.verdict}, but the epochs give {b.verdict}"


def _sentence(whose: str, name: str, a: RunSummary | MethodSummary, b: RunSummary | MethodSummary) -> str:
    figure = name.replace("_", " ")
    return f"{whose}: the comparison reports {figure} {getattr(a, name)}, but the epochs give {getattr(b, name)}"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return all(map(_same, a, b))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)
    return bool(a == b)
