"""Orders of a grid's points, each a copyable iterator over their numbers: spread, shuffled, drawn. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hpo.study.space import Vector


class Spread(Iterator[int]):
    """Farthest first: each next of the points [n, d] has the greatest distance to those before it.

    Starts with the first of `numbers` [n], the order in which equally far points come.
    """

    def __init__(self, points: Vector, numbers: NDArray[np.int64]) -> None:
        self._points, self._numbers = points[numbers], numbers
        self._nearest = np.full(len(points), np.inf)  # squared distance to the points before; -1 for those themselves
        self._next = 0

    def __next__(self) -> int:
        here = self._next
        if self._nearest[here] < 0:
            raise StopIteration
        self._nearest = np.minimum(self._nearest, ((self._points - self._points[here]) ** 2).sum(axis=1))
        self._nearest[here] = -1.0
        self._next = int(self._nearest.argmax())
        return int(self._numbers[here])


class Shuffled(Iterator[int]):
    """The numbers as they stand in an array."""

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self._numbers, self._place = numbers, 0

    def __next__(self) -> int:
        if self._place == len(self._numbers):
            raise StopIteration
        self._place += 1
        return int(self._numbers[self._place - 1])


class Drawn(Iterator[int]):
    """The numbers below `total`, however many, in a random order; each is drawn when it is asked for."""

    def __init__(self, total: int, rng: np.random.Generator) -> None:
        self._total, self._rng = total, rng
        self._seen: set[int] = set()
        self._bytes = total.bit_length() // 8 + 8  # far more than needed: the remainder favours no number noticeably

    def __next__(self) -> int:
        if len(self._seen) == self._total:
            raise StopIteration
        while (number := int.from_bytes(self._rng.bytes(self._bytes), "little") % self._total) in self._seen:
            pass
        self._seen.add(number)
        return number
