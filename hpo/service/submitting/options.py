"""What a submission asks for beside the study's text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.service.problems import Problem


@dataclass(frozen=True)
class Options:
    """What a submission asks for beside its text; None stands for the study's own."""

    priority: float | None = None
    queue: str | None = None
    workers: int | None = None
    retries: int = 0
    least: int | None = None
    methods: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    budget: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Returns the options in JSON, or in the fields of a form. Raises Problem 422."""
        found = {name: value for name, value in given.items() if value is not None}
        if (methods := found.get("methods")) is not None:
            found["methods"] = tuple(_parts(methods)) or None
        if (seeds := found.get("seeds")) is not None:
            try:
                found["seeds"] = tuple(int(seed) for seed in _parts(seeds)) or None
            except ValueError:
                raise Problem(422, f"seeds must be whole numbers, a list or `0,1`, but got {seeds!r}") from None
        return cls(**found)

    @property
    def changes(self) -> dict[str, Any]:
        """What they change of the study, as `Study.of` takes it."""
        return {
            "methods": None if self.methods is None else list(self.methods),
            "seeds": None if self.seeds is None else list(self.seeds),
            "epochs": self.budget,
            "priority": self.priority,
            "min_workers": self.least,
        }

    @property
    def arguments(self) -> dict[str, float | str | None]:
        """The options of `hpo run` that say the same."""
        return {
            "methods": ",".join(self.methods) if self.methods else None,
            "seeds": ",".join(map(str, self.seeds)) if self.seeds else None,
            "budget": self.budget,
            "workers": self.workers,
            "priority": self.priority,
            "least": self.least,
        }


def _parts(given: Any) -> list[Any]:
    return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else list(given)
