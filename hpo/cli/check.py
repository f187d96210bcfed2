"""`hpo check`: validates a study and prints its plan; trains nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.lines import shown
from hpo.cli.options import StudyArgument, load_study


def check(
    study: StudyArgument,
    address: Annotated[
        str | None,
        typer.Option(metavar="A", help="A running Ray cluster, auto or HOST:PORT: check that it can run the study."),
    ] = None,
) -> None:
    """Validate a study as `hpo run` does and print its plan, without training."""
    from hpo.api.plan import checked

    print(shown(str(checked(load_study(study), address)), indent=12))
