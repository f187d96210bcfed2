"""How a study's slots are occupied at a moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Occupancy:
    """`slots`: how many the study may have. Of them `busy` ones train, the processes of `starting` ones start, and for
    `waiting` ones no node has room yet; the others are free or not needed. `trials`: what the busy ones train.
    """

    slots: int = 0
    busy: int = 0
    starting: int = 0
    waiting: int = 0
    trials: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not (self.slots or self.busy):
            return "no slot is free yet, `ray status` shows who holds them"
        parts = [f"{self.busy} of {self.slots} {'slot' if self.slots == 1 else 'slots'} busy"]
        parts += [f"{self.starting} starting"] * bool(self.starting)
        parts += [f"{self.waiting} waiting for room"] * bool(self.waiting)
        return ", ".join(parts)
