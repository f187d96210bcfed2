"""The ledger of a run: reserves before training, commits on arrival, refunds what is left over. Pure."""

from __future__ import annotations

from hpo.study.amounts import EPOCHS, Unit


class Ledger:
    """Keeps `committed + reserved <= budget` at every moment. All amounts are whole numbers of the unit's amounts.

    >>> ledger = Ledger(10)
    >>> ledger.reserve(8)            # granted in full
    8
    >>> ledger.reserve(8)            # cut to fit
    2
    >>> ledger.commit(1); ledger.refund(7)
    >>> (ledger.committed, ledger.reserved, ledger.remaining)
    (1, 2, 7)
    """

    def __init__(self, budget: int, unit: Unit = EPOCHS) -> None:
        if budget < 1:
            raise ValueError(f"budget >= 1 must hold, but got {budget}")
        self.unit = unit
        self._budget = budget
        self._committed = 0
        self._reserved = 0

    def __str__(self) -> str:
        return f"{self.unit.shown(self._committed)}/{self.unit.shown(self._budget)}"

    @property
    def budget(self) -> int:
        return self._budget

    @property
    def committed(self) -> int:
        """What is charged for good."""
        return self._committed

    @property
    def reserved(self) -> int:
        """What is granted to running segments and not yet charged."""
        return self._reserved

    @property
    def remaining(self) -> int:
        """What can still be reserved: budget - committed - reserved."""
        return self._budget - self._committed - self._reserved

    @property
    def spent(self) -> bool:
        """Whether the whole budget is committed."""
        return self._committed == self._budget

    def reserve(self, amount: int, price: int = 1) -> int:
        """Reserves up to `amount`, in multiples of `price`; returns how much it granted, 0 if too little is left."""
        if amount < 1 or price < 1:
            raise ValueError(f"amount >= 1 and price >= 1 must hold, but got (amount={amount}, price={price})")
        granted = min(amount, self.remaining) // price * price
        self._reserved += granted
        return granted

    def commit(self, amount: int) -> None:
        """Charges what was reserved. Raises ValueError for more than is reserved."""
        self._take(amount)
        self._committed += amount

    def refund(self, amount: int) -> None:
        """Returns what was reserved to the budget. Raises ValueError for more than is reserved."""
        self._take(amount)

    def _take(self, amount: int) -> None:
        if not 0 <= amount <= self._reserved:
            raise ValueError(f"0 <= amount <= reserved must hold, but got (amount={amount}, reserved={self._reserved})")
        self._reserved -= amount
