"""The table of learning curves: all runs read its cells, training fills them in. Pure; no I/O."""

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
    """A cell that will never have a value: the trial failed after the epochs before it."""

    reason: str


Cell: TypeAlias = Trained | Failed


class Curve:
    """One row of the table: the cells of epochs 1..n, and the reason if training failed after them.

    A cell enters whole, in one step, since methods that think in threads of their own read it meanwhile.
    """

    __slots__ = ("cells", "failed")

    def __init__(self) -> None:
        self.cells: list[Trained] = []
        self.failed: str | None = None

    @property
    def ended(self) -> bool:
        return bool(self.cells) and self.cells[-1].ended

    def cell(self, epoch: int) -> Cell | None:
        """Returns the cell of `epoch`; None where nothing is known of it yet, or where the training ended before it."""
        if epoch <= len(self.cells):
            return self.cells[epoch - 1]
        return None if self.failed is None else Failed(self.failed)


class Curves:
    """The table, by trial id. A cell that is known keeps its first value.

    `failures` numbers the failed trials in the order in which they failed; the arrival clock repeats that order. `cells`
    counts the known cells.
    """

    def __init__(self) -> None:
        self._rows: dict[str, Curve] = {}
        self.failures: dict[str, int] = {}
        self.cells = 0

    def __len__(self) -> int:
        return len(self._rows)

    def cell(self, trial: str, epoch: int) -> Cell | None:
        """Returns the cell of a trial's epoch; None where nothing is known of it yet."""
        curve = self._rows.get(trial)
        return None if curve is None else curve.cell(epoch)

    def known(self, trial: str) -> int:
        """The number of known epochs of the trial."""
        curve = self._rows.get(trial)
        return 0 if curve is None else len(curve.cells)

    def closed(self, trial: str) -> bool:
        """Whether no further epoch of the trial can come: it failed, or its training ended itself."""
        curve = self._rows.get(trial)
        return curve is not None and (curve.ended or curve.failed is not None)

    def add(self, trial: str, epoch: int, value: float, ended: bool = False) -> bool:
        """Fills in a cell; returns False if it was known. Raises ValueError if an epoch before it is missing."""
        curve = self._rows.setdefault(trial, Curve())
        if epoch <= len(curve.cells):
            return False
        if epoch != len(curve.cells) + 1:
            raise ValueError(f"epoch {len(curve.cells) + 1} of trial {trial} must come next, but got epoch {epoch}")
        curve.cells.append(Trained(value, ended))
        self.cells += 1
        return True

    def fail(self, trial: str, reason: str) -> None:
        """Records that the trial failed after its known epochs; changes nothing if it has failed or ended before."""
        curve = self._rows.setdefault(trial, Curve())
        if curve.failed is None and not curve.ended:
            self.failures[trial] = len(self.failures)
            curve.failed = reason
