"""What training took: seconds and waste, by trial. Pure."""

from __future__ import annotations

from array import array
from collections import Counter


class Effort:
    """The seconds of the epochs that count, by trial, and the number of epochs that were trained again."""

    def __init__(self) -> None:
        self.seconds: dict[str, array[float]] = {}
        self.wasted: Counter[str] = Counter()
        self.pace: float | None = None  # seconds an epoch, a moving average

    def add(self, trial: str, epoch: int, seconds: float, attempt: int) -> None:
        """Adds an epoch (1-based); one of a higher attempt than 0 is waste."""
        self.pace = seconds if self.pace is None else self.pace + 0.1 * (seconds - self.pace)
        if attempt > 0:
            self.wasted[trial] += 1
            return
        spent = self.seconds.setdefault(trial, array("d"))
        spent.extend([0.0] * (epoch - len(spent)))
        spent[epoch - 1] = seconds
