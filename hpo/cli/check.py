"""`hpo check`: validates a study or a suite and prints its plan; trains nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.lines import shown
from hpo.cli.options import SomeTasksOption, StudyArgument, load_study, studies_of
from hpo.study.study import Study


def check(
    study: StudyArgument,
    address: Annotated[
        str | None,
        typer.Option(metavar="A", help="A running Ray cluster, auto or HOST:PORT: check that it can run the study."),
    ] = None,
    tasks: SomeTasksOption = None,
) -> None:
    """Validate a study, or a suite of tasks, as `hpo run` does and print its plan, without training."""
    from hpo.api.plan import SuitePlan, checked

    loaded = load_study(study, tasks=tasks)
    plans = [checked(one, address) for one in studies_of(loaded)]
    print(shown(str(plans[0] if isinstance(loaded, Study) else SuitePlan.of(loaded, plans)), indent=12))
