"""Amounts of a budget as whole numbers: epochs, or millionths of cost. Sums of them are exact. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True)
class Unit:
    """What a budget counts: `scale` amounts make one epoch, or a cost of 1.

    >>> COST.amount(0.3), COST.shown(300_000), COST.words(300_000)
    (300000, '0.3', 'a cost of 0.3')
    >>> EPOCHS.amount(24), EPOCHS.words(24)
    (24, '24 epochs')
    """

    name: str  # epochs | cost
    scale: int

    def amount(self, value: float) -> int:
        """Returns the amount of so many epochs, or of this cost, to the nearest millionth; at least 1."""
        return max(1, round(value * self.scale))

    def value(self, amount: int) -> float:
        """Returns the epochs, or the cost, of an amount."""
        return amount if self.scale == 1 else amount / self.scale

    def shown(self, amount: int) -> str:
        """Returns the digits of an amount, all of them."""
        whole, rest = divmod(amount, self.scale)
        return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)

    def words(self, amount: int) -> str:
        """Returns an amount in words."""
        return f"{self.shown(amount)} epochs" if self.scale == 1 else f"a cost of {self.shown(amount)}"


EPOCHS = Unit("epochs", 1)
COST = Unit("cost", MILLION)
