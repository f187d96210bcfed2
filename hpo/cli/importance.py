"""`hpo importance`: reports which hyperparameters matter, in a stored study or over several as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.compare import chosen_studies
from hpo.cli.options import (
    EveryOption,
    FormatOption,
    OutputOption,
    StoreArgument,
    StudiesOption,
    TableFormat,
    as_json,
    check_output,
    out,
)

if TYPE_CHECKING:
    from hpo.store import StudyData


PairsOption = Annotated[bool, typer.Option("--pairs/--no-pairs", help="Include pairs of hyperparameters.")]
ForestSeedOption = Annotated[int, typer.Option(min=0, help="Seed of the forest and of its intervals.")]


def importance(
    store: StoreArgument,
    study: StudiesOption = None,
    every: EveryOption = False,
    pairs: PairsOption = False,
    seed: ForestSeedOption = 0,
    format: FormatOption = TableFormat.table,
    output: OutputOption = None,
) -> None:
    """Report which hyperparameters matter (functional ANOVA, PED-ANOVA), in a study or over several as tasks."""
    from hpo import store as stores

    check_output(output)
    names = chosen_studies(store, study, every)
    show_importance([stores.read(store, name) for name in names] or [stores.read(store)], pairs, seed, format, output)


def show_importance(
    data: Sequence[StudyData], pairs: bool, seed: int, format: TableFormat, output: Path | None
) -> None:
    """Prints which hyperparameters matter in a study, or over several as tasks."""
    from hpo.report.importance_tables import render_importance, tasks_table
    from hpo.report.tables import render_tables
    from hpo.results.importance import importance as importance_of

    found = {one.name: importance_of(one, pairs=pairs, seed=seed) for one in data}
    if len(found) == 1:
        out(render_importance(found[data[0].name], format.value), output)
    elif format is TableFormat.json:
        out(as_json([one.to_json() for one in found.values()]), output)
    else:
        out(render_tables([tasks_table(found)], format.value), output)
