"""How a run ended, or where it stands, and why it left budget over. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.methods.protocol import Remote
from hpo.study.amounts import EPOCHS
from hpo.study.values import Outcome

if TYPE_CHECKING:
    from hpo.game.run import Run

FAILURES_IN_A_ROW = 100  # trials that fail before their first epoch cost nothing: without a bound a run might never end


def outcome_of(run: Run) -> Outcome:
    """Returns how the run ended, or where it stands."""
    known = run.rules.price is not None
    return Outcome(
        run=run.key,
        status="complete" if run.done else "partial",
        committed=run.charged_epochs,
        cost=sum((trial.cost or 0) * trial.epochs for trial in run.trials) if known else None,
        spent=run.ledger.committed,
        budget=run.ledger.budget,
        unit=run.ledger.unit,
        trials=len(run.trials),
        failed_trials=run.states["failed"],
        incumbent=run.incumbent,
        reason=run.reason,
    )


def left_over(run: Run, *, luckless: bool) -> str:
    """Returns why a run ended with budget left over; empty where it did not. `luckless`: many trials failed in a row."""
    unit, each, left = run.ledger.unit, run.rules.charge, run.ledger.budget - run.ledger.committed
    if left == 0:
        return ""
    if isinstance(run.schedule, Remote) and run.schedule.broken:
        return f"the method can decide nothing more: {run.schedule.broken}"
    if luckless:
        last = next(t.reason for t in reversed(run.trials) if t.status == "failed")
        return f"{FAILURES_IN_A_ROW} trials in a row failed before their first epoch; the last: {last}"
    if left < run.rules.least:
        return f"{left} epochs are left, and an epoch of {each} folds is charged {each}"
    if run.unpaid is not None:
        costs = f"costs {unit.shown(run.unpaid)}"
        return f"{unit.words(left)} is left, and the cheapest epoch that the method still asked for {costs}"
    verb = "were" if unit == EPOCHS else "was"
    return f"the method has no configuration left to train; {unit.words(left)} {verb} not needed"
