"""The stored events of a run, which a player of the same run must meet again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hpo.errors import StudyFailed
from hpo.study.values import Charge, RunFailure, RunKey

UNEXPLAINED = "the method's code, its prior or the declared cost of an epoch must have changed"


class OtherDecision(StudyFailed):
    """A run that does not decide as its stored events say: nothing of what it decides now may be added to them."""


@dataclass(frozen=True, slots=True)
class Event:
    """What moves a run: an epoch of one of its trials, or the failure of that trial in the epoch."""

    number: int  # the trial's number in the run
    trial: str
    epoch: int
    failed: bool = False

    def __str__(self) -> str:
        what = f"the failure in epoch {self.epoch}" if self.failed else f"epoch {self.epoch}"
        return f"{what} of trial {self.number} ({self.trial})"


class Script:
    """The stored events of a run, by their order.

    Stores of earlier versions lack the failures: an order without an event, before the last one, was a failure.
    `cause`: what is known to differ from the time of the stored events, for the message about a decision that differs.
    """

    def __init__(self, run: RunKey | str, events: Mapping[int, Event], cause: str = "") -> None:
        self._run, self._events, self._cause = str(run), dict(events), cause
        self.end = max(self._events, default=-1) + 1  # the order of the first event that is not stored

    @classmethod
    def of(cls, charges: Iterable[Charge], failures: Iterable[RunFailure] = ()) -> Script:
        """Returns the script of one run's charges and failures."""
        told = [(f.run, f.order, Event(f.number, f.trial, f.epoch + 1, failed=True)) for f in failures]
        told += [(c.run, c.order, Event(c.number, c.trial, c.epoch)) for c in charges]
        return cls(told[0][0] if told else "", {order: event for _, order, event in told})

    def wanted(self, order: int) -> Event | None:
        """The stored event of this order; None where there is none."""
        return self._events.get(order)

    def check(self, order: int, event: Event) -> None:
        """Raises OtherDecision if another event of this order is stored."""
        wanted = self.wanted(order)
        if wanted is not None and event != wanted:
            raise self.other(order, str(event))

    def check_awaited(self, order: int, event: Event) -> None:
        """Raises OtherDecision if the stored event of this order is of another epoch than the one that is awaited."""
        wanted = self.wanted(order)
        if wanted is not None and event != replace(wanted, failed=event.failed):
            raise self.other(order, str(event))

    def check_end(self, order: int, broken: str = "") -> None:
        """Raises OtherDecision if the run ends before an event of this order, and the store has more.

        `broken`: why its method can decide nothing more, where that is the reason.
        """
        if order < self.end:
            raise self.other(order, f"the end of the run ({broken})" if broken else "the end of the run")

    def other(self, order: int, decided: str) -> OtherDecision:
        """Returns the error about a decision that differs from the stored one."""
        stored = self.wanted(order) or "an event that is missing"
        return OtherDecision(
            f"run {self._run} must decide as it did before, but its event {order} is {stored} in the store and "
            f"{decided} now; {self._cause or UNEXPLAINED}: restore that, or take another store"
        )
