"""What went wrong on the way to a study's results and stopped nobody: for the user to see while it runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

KEPT = 8


@dataclass(frozen=True)
class Incident:
    """`at` is in unix seconds; `kind`: failed | memory | lost | again | start."""

    at: float
    kind: str
    text: str


class Incidents:
    """Keeps the last incidents, and counts all."""

    def __init__(self) -> None:
        self.last: deque[Incident] = deque(maxlen=KEPT)
        self.count = 0
        self._again: tuple[Incident | None, str, int, int] = (None, "", 0, 0)  # the last one, its trial and epochs

    def add(self, kind: str, text: str) -> Incident:
        found = Incident(time.time(), kind, text)
        self.count += 1
        self.last.append(found)
        return found

    def again(self, trial: str, epochs: Sequence[int]) -> None:
        """Adds that epochs of a trial were trained again. Epochs that follow each other make one incident."""
        incident, other, first, last = self._again
        if self.last and self.last[-1] is incident and (trial, epochs[0]) == (other, last + 1):
            self.last.pop()
            self.count -= 1
        else:
            first = epochs[0]
        span = f"epoch {first}" if first == epochs[-1] else f"epochs {first} to {epochs[-1]}"
        told = self.add("again", f"trial {trial} trained {span} again, which no checkpoint had")
        self._again = told, trial, first, epochs[-1]
