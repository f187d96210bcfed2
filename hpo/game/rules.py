"""The rules of a run, whatever its method. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hpo.study.amounts import EPOCHS, Unit
from hpo.study.space import Config
from hpo.study.values import TrialKey


@dataclass(frozen=True)
class Rules:
    """The rules of a run, whatever its method."""

    budget: int  # in the amounts of `unit`
    parallelism: int = 1  # virtual workers
    charge: int = 1  # epochs that a run is charged for a trained one: k with k folds
    mode: str = "max"
    clock: str = "virtual"  # virtual | cost, which is virtual in ticks of cost | arrival
    key: Callable[[Config, int], TrialKey] = field(default=lambda config, r: TrialKey("", config, 0, r))
    cost: Callable[[Config], float] = field(default=lambda config: 1.0)  # the virtual time of an epoch, in ticks
    unit: Unit = EPOCHS
    price: Callable[[Config], int] | None = (
        None  # millionths of cost of an epoch; None where the trainable declares none
    )

    def __post_init__(self) -> None:
        if self.unit != EPOCHS and self.price is None:
            raise ValueError("a budget in cost needs prices, but got none")

    @property
    def least(self) -> int:
        """What the ledger is charged for an epoch at least."""
        return self.charge if self.unit == EPOCHS else 1

    def amount(self, config: Config) -> int:
        """Returns what the ledger is charged for an epoch of the configuration."""
        return self.charge if self.unit == EPOCHS or self.price is None else self.price(config)

    def declared(self, config: Config) -> int | None:
        """Returns the cost of an epoch in millionths; None where the trainable declares none."""
        return None if self.price is None else self.price(config)
