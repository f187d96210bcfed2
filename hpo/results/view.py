"""What a comparison reports beside the metric: two objectives, and constraints within which configurations count. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError

if TYPE_CHECKING:
    from hpo.results.constraints import Constraint
    from hpo.results.values import Comparison
    from hpo.store import StudyData


@dataclass(frozen=True)
class View:
    """The options --objectives, --reference and --constraint of `hpo compare`, and those of `Results.compare`."""

    objectives: str | None = None
    reference: tuple[float, float] | None = None
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def read(
        cls,
        objectives: str | Iterable[str] | None,
        reference: str | Iterable[float] | None,
        constraints: str | Sequence[str],
    ) -> View:
        """Reads the options. Raises BadObjectives, BadConstraint, or HpoError for a reference point of nothing."""
        if reference is not None and objectives is None:
            raise HpoError(
                "a reference point is that of two objectives, but there are none; give them, too (--objectives)"
            )
        if objectives is None and not constraints:
            return PLAIN
        from hpo.results.constraints import Constraint
        from hpo.results.pareto import reference as point

        bounds = tuple(map(Constraint.parse, [constraints] if isinstance(constraints, str) else constraints))
        return cls(
            None if objectives is None else _listed(objectives),
            None if reference is None else point(_listed(reference)),
            bounds,
        )

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


def _listed(values: str | Iterable[object]) -> str:
    """Returns values as an option lists them, A,B."""
    return values if isinstance(values, str) else ",".join(map(str, values))
