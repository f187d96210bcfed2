"""A quantile of a growing set, in O(log n) an entry. Pure."""

from __future__ import annotations

from heapq import heappop, heappush, heappushpop


class GrowingQuantile:
    """The `q`-quantile (0 < q < 1) of all added values, interpolated between neighbours as numpy does by default.

    >>> median = GrowingQuantile(0.5)
    >>> for value in (3.0, 1.0, 2.0, 10.0):
    ...     median.add(value)
    >>> median.value
    2.5
    """

    def __init__(self, q: float) -> None:
        self._q = q
        self._low: list[float] = []  # max-heap (negated): the floor(q*(n-1)) + 1 smallest
        self._high: list[float] = []  # min-heap: the others

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def add(self, value: float) -> None:
        heappush(self._high, -heappushpop(self._low, -value))
        while len(self._low) < int(self._q * (len(self) - 1)) + 1:
            heappush(self._low, -heappop(self._high))

    @property
    def value(self) -> float:
        """The quantile. Raises IndexError if nothing was added."""
        place = self._q * (len(self) - 1)
        below = -self._low[0]
        return below + (place - int(place)) * (self._high[0] - below) if place > int(place) else below
