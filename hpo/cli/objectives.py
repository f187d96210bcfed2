"""The options of `hpo compare` for what it reports beside the metric; `hpo.results.view` reads them."""

from __future__ import annotations

from typing import Annotated

import typer

ObjectivesOption = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Report the Pareto fronts of two stored metrics; NAME:min or NAME:max."),
]
ReferenceOption = Annotated[
    str | None, typer.Option(metavar="X,Y", help="Reference point of the hypervolumes (default: beyond all fronts).")
]
ConstraintOption = Annotated[
    list[str] | None,
    typer.Option(metavar="'METRIC<=X'", help="Count only configurations within this bound; repeat it for more."),
]
