"""How fast epochs are trained lately, and how long the rest will take. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0
WINDOW_EPOCHS = 20  # a rate over fewer says little: the window reaches further back where epochs are long
LEAST_EPOCHS, LEAST_SECONDS = 3, 3.0  # before which nothing is known
MARKS = 128
PRIOR = 10  # epochs


class Pace:
    """Notes the epochs trained by a time, and tells the rate of the last minute, or of the last 20 epochs if those took longer.

    >>> pace = Pace()
    >>> for second in range(0, 100, 10):
    ...     pace.note(second, 2 * second)
    >>> pace.rate(90)
    2.0
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()  # (time, epochs by then), the oldest first
        self._apart = 0.0  # the least seconds between two marks: more where they would become too many

    def note(self, now: float, epochs: int) -> None:
        """Notes that `epochs` have been trained by `now`. The first call says when training began."""
        if not self._marks or (now - self._marks[-1][0] >= self._apart and epochs > self._marks[-1][1]):
            self._marks.append((now, epochs))
            self._forget(now, epochs)

    def rate(self, now: float, epochs: int | None = None) -> float | None:
        """Returns the epochs trained a second lately; None while too few have been."""
        if not self._marks:
            return None
        epochs = self._marks[-1][1] if epochs is None else epochs
        began, before = self._marks[0]
        for at, count in self._marks:
            if now - at < WINDOW_SECONDS or epochs - count < WINDOW_EPOCHS:
                break
            began, before = at, count
        known = epochs - before >= LEAST_EPOCHS and now - began >= LEAST_SECONDS
        return (epochs - before) / (now - began) if known else None

    def _forget(self, now: float, epochs: int) -> None:
        """Drops marks that no rate needs any more, and every other one where there are too many."""
        while len(self._marks) > 2 and now - self._marks[1][0] >= WINDOW_SECONDS:
            if epochs - self._marks[1][1] < WINDOW_EPOCHS:
                break
            self._marks.popleft()
        if len(self._marks) > MARKS:
            first, *others = self._marks
            self._marks = deque([first, *others[1::2]])
            self._apart = 2 * max(self._apart, WINDOW_SECONDS / MARKS)


def left(budget: float, charged: float, epochs: int, ahead: int, charge: float) -> float:
    """Estimates how many epochs a run lacks: those that the rest of its budget pays for, but for `ahead`, known already.

    It was charged for `epochs` so far; `charge` is what one costs on average over the search space, which weighs as much
    as some epochs, because cheap ones end first. All in the budget's unit but the epochs.
    """
    each = (charged + PRIOR * charge) / (epochs + PRIOR)
    return max(0.0, (budget - charged) / each - ahead)
