"""What `hpo compare` reports beside the metric: two objectives, and constraints within which configurations count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.errors import HpoError

if TYPE_CHECKING:
    from hpo.results.constraints import Constraint
    from hpo.results.values import Comparison
    from hpo.store import StudyData


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


@dataclass(frozen=True)
class View:
    """The options --objectives, --reference and --constraint."""

    objectives: str | None = None
    reference: tuple[float, float] | None = None
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def read(cls, objectives: str | None, reference: str | None, constraints: Sequence[str]) -> View:
        """Reads the options. Raises BadObjectives, BadConstraint, or HpoError for a reference point of nothing."""
        if reference is not None and objectives is None:
            raise HpoError("--reference is the reference point of --objectives, which must be given too")
        if objectives is None and not constraints:
            return PLAIN
        from hpo.results.constraints import Constraint
        from hpo.results.pareto import reference as point

        bounds = tuple(map(Constraint.parse, constraints))
        return cls(objectives, None if reference is None else point(reference), bounds)

    @property
    def words(self) -> list[str]:
        """The options as words of a command line."""
        found = [] if self.objectives is None else ["--objectives", self.objectives]
        found += [] if self.reference is None else ["--reference", ",".join(f"{x:.15g}" for x in self.reference)]
        return [*found, *(word for bound in self.constraints for word in ("--constraint", str(bound)))]

    def compared(self, studies: Sequence[StudyData], **options: Any) -> tuple[Comparison, list[StudyData]]:
        """Returns the comparison under the constraints with its objectives, and the studies as they count in it.

        `options`: those of `compare_many`.
        """
        from hpo.results.compare import compare_many
        from hpo.results.constraints import constrained, told
        from hpo.results.pareto import objectives, pareto

        within = [constrained(data, self.constraints) for data in studies]
        found = told(compare_many(within, **options), studies, within, self.constraints)
        if self.objectives is None:
            return found, within
        fronts = [pareto(data, objectives(self.objectives, data.definition), self.reference) for data in within]
        return replace(found, objectives=tuple(fronts)), within


PLAIN = View()
