"""The rules of a run, and the sentence that says why it left budget over. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hpo.game.ledger import Ledger
from hpo.game.workers import RunTrial
from hpo.study.amounts import EPOCHS, Unit
from hpo.study.space import Config
from hpo.study.values import TrialKey

FAILURES_IN_A_ROW = 100  # trials that fail before their first epoch cost nothing: without a bound a run might never end


@dataclass(frozen=True)
class Rules:
    """The rules of a run, whatever its method."""

    budget: int  # in the amounts of `unit`
    parallelism: int = 1  # virtual workers
    charge: int = 1  # epochs that a run is charged for a trained one: k with k folds
    mode: str = "max"
    clock: str = "virtual"  # virtual | arrival
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


def left_over(ledger: Ledger, rules: Rules, trials: Sequence[RunTrial], luckless: bool, waiting: int | None) -> str:
    """Returns why a run ended with budget left over; empty where it did not.

    `luckless`: too many trials failed in a row. `waiting`: what the cheapest epoch costs that it could not pay.
    """
    left, unit = ledger.budget - ledger.committed, ledger.unit
    if left == 0:
        return ""
    if luckless:
        last = next(t.reason for t in reversed(trials) if t.status == "failed")
        return f"{FAILURES_IN_A_ROW} trials in a row failed before their first epoch; the last: {last}"
    if left < rules.least:
        return f"{left} epochs are left, and an epoch of {rules.charge} folds is charged {rules.charge}"
    if waiting is not None:
        return (
            f"{unit.words(left)} is left, and the cheapest epoch that the method still asked for costs "
            f"{unit.shown(waiting)}"
        )
    verb = "were" if unit == EPOCHS else "was"
    return f"the method has no configuration left to train; {unit.words(left)} {verb} not needed"
