"""`hpo importance`: reports which hyperparameters matter, in a stored study or over several as tasks."""

from __future__ import annotations

from typing import Annotated

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


def importance(
    store: StoreArgument,
    study: StudiesOption = None,
    every: EveryOption = False,
    pairs: Annotated[bool, typer.Option("--pairs/--no-pairs", help="Include pairs of hyperparameters.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the forest and of its intervals.")] = 0,
    format: FormatOption = TableFormat.table,
    output: OutputOption = None,
) -> None:
    """Report which hyperparameters matter (functional ANOVA, PED-ANOVA), in a study or over several as tasks."""
    from hpo import store as stores
    from hpo.report.importance_tables import render_importance, tasks_table
    from hpo.report.tables import render_tables
    from hpo.results.importance import importance as importance_of

    check_output(output)
    names = chosen_studies(store, study, every)
    data = [stores.read(store, name) for name in names] or [stores.read(store)]
    found = {one.name: importance_of(one, pairs=pairs, seed=seed) for one in data}
    if len(found) == 1:
        out(render_importance(found[data[0].name], format.value), output)
    elif format is TableFormat.json:
        out(as_json([one.to_json() for one in found.values()]), output)
    else:
        out(render_tables([tasks_table(found)], format.value), output)
