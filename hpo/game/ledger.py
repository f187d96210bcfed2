"""The epoch ledger of a run: reserves before training, commits on arrival, refunds what is left over. Pure."""

from __future__ import annotations


class EpochLedger:
    """Keeps `committed + reserved <= budget` at every moment. All amounts are whole epochs.

    >>> ledger = EpochLedger(10)
    >>> ledger.reserve(8)            # granted in full
    8
    >>> ledger.reserve(8)            # cut to fit
    2
    >>> ledger.commit(1); ledger.refund(7)
    >>> (ledger.committed, ledger.reserved, ledger.remaining)
    (1, 2, 7)
    """

    def __init__(self, budget: int) -> None:
        if budget < 1:
            raise ValueError(f"budget >= 1 must hold, but got {budget}")
        self._budget = budget
        self._committed = 0
        self._reserved = 0

    @property
    def budget(self) -> int:
        return self._budget

    @property
    def committed(self) -> int:
        """Epochs charged for good."""
        return self._committed

    @property
    def reserved(self) -> int:
        """Epochs granted to running segments and not yet charged."""
        return self._reserved

    @property
    def remaining(self) -> int:
        """Epochs that can still be reserved: budget - committed - reserved."""
        return self._budget - self._committed - self._reserved

    @property
    def spent(self) -> bool:
        """Whether the whole budget is committed."""
        return self._committed == self._budget

    def reserve(self, epochs: int, unit: int = 1) -> int:
        """Reserves up to `epochs`, in multiples of `unit`; returns how many it granted, 0 if too few are left."""
        if epochs < 1 or unit < 1:
            raise ValueError(f"epochs >= 1 and unit >= 1 must hold, but got (epochs={epochs}, unit={unit})")
        granted = min(epochs, self.remaining) // unit * unit
        self._reserved += granted
        return granted

    def commit(self, epochs: int) -> None:
        """Charges reserved epochs. Raises ValueError for more than are reserved."""
        self._take(epochs)
        self._committed += epochs

    def refund(self, epochs: int) -> None:
        """Returns reserved epochs to the budget. Raises ValueError for more than are reserved."""
        self._take(epochs)

    def _take(self, epochs: int) -> None:
        if not 0 <= epochs <= self._reserved:
            raise ValueError(f"0 <= epochs <= reserved must hold, but got (epochs={epochs}, reserved={self._reserved})")
        self._reserved -= epochs
