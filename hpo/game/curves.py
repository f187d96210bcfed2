"""The lazily filled table of learning curves that all runs ask for cells of. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Trained:
    """A cell: the metric's value after an epoch, and whether training ended itself there (early stopping)."""

    value: float
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A cell that will never be: the trial failed after the epochs before it."""

    reason: str


Cell: TypeAlias = Trained | Failed


class Curve:
    """One row of the table: the values of epochs 1..n, and how it ends where it ends before max_epochs."""

    __slots__ = ("ended", "failed", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self.ended = False
        self.failed: str | None = None

    def cell(self, epoch: int) -> Cell | None:
        """What is known of `epoch`; None where it is still to be trained. Beyond an ended curve's end: its best state."""
        if epoch <= len(self.values):
            return Trained(self.values[epoch - 1], self.ended and epoch == len(self.values))
        return None if self.failed is None else Failed(self.failed)


class Curves:
    """The table, by trial id. Cells are written once: a cell that is known already keeps its first value.

    `order` counts failures as they came in, which is what the arrival clock needs to repeat itself.
    """

    def __init__(self) -> None:
        self._rows: dict[str, Curve] = {}
        self.failures: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def cell(self, trial: str, epoch: int) -> Cell | None:
        curve = self._rows.get(trial)
        return None if curve is None else curve.cell(epoch)

    def known(self, trial: str) -> int:
        """How many epochs of the trial are known."""
        curve = self._rows.get(trial)
        return 0 if curve is None else len(curve.values)

    def closed(self, trial: str) -> bool:
        """Whether no further epoch of the trial can come: it failed, or its training ended itself."""
        curve = self._rows.get(trial)
        return curve is not None and (curve.ended or curve.failed is not None)

    def add(self, trial: str, epoch: int, value: float, ended: bool = False) -> bool:
        """Writes a cell; False where it was known. Raises ValueError where an epoch before it is missing."""
        curve = self._rows.setdefault(trial, Curve())
        if epoch <= len(curve.values):
            return False
        if epoch != len(curve.values) + 1:
            raise ValueError(f"epoch {len(curve.values) + 1} of trial {trial} must come next, but got epoch {epoch}")
        curve.values.append(value)
        curve.ended = ended
        return True

    def fail(self, trial: str, reason: str) -> None:
        """Says that no epoch beyond the known ones will come."""
        curve = self._rows.setdefault(trial, Curve())
        if curve.failed is None and not curve.ended:
            curve.failed = reason
            self.failures[trial] = len(self.failures)
