"""The segments of a run that wait for a virtual worker. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from hpo.game.curves import Curves
from hpo.methods.protocol import Schedule
from hpo.study.space import Config
from hpo.study.values import Segment, TrialKey

WAITING = 10  # segments whose epoch costs more than is left, before no cheaper one is looked for


class SegmentQueue:
    """What a free virtual worker trains next: cut segments first, then planned ones, then what the schedule decides.

    State:
      _cut       the segments, or their rests, that the ledger could not grant, the oldest first; the run has paused
                 their trials at `start`
      _dropped   those of the cut ones that the ledger will never be able to grant
      _planned   segments that an oblivious schedule handed out before a worker was free, in its order
      epochs     of all planned segments together
      amount     what the ledger would be charged for them
      resumes    whether any planned segment ever began after its trial's first epoch
      _shown     the number of planned segments that `fresh` has shown; they are the first ones
      _keys      the keys of trials that `planned` has shown and the run has not created yet, by their numbers

    Only the schedule's own order decides: nothing is sorted, and nothing that was planned is taken back.
    """

    def __init__(
        self,
        schedule: Schedule,
        key: Callable[[Config, int], TrialKey],
        price: Callable[[Config], int] = lambda config: 1,
    ) -> None:
        self._schedule = schedule
        self._key = key
        self._price = price  # what the ledger is charged for an epoch
        self._cut: deque[Segment] = deque()
        self._planned: deque[Segment] = deque()
        self._dropped: list[Segment] = []
        self.epochs = self.amount = self._shown = 0
        self.resumes = False
        self._keys: dict[int, TrialKey] = {}

    def put_back(self, rest: Segment) -> None:
        """Keeps what is left of a segment that the ledger cut; it comes before anything planned."""
        self._cut.append(rest)

    @property
    def cheapest(self) -> int | None:
        """What the cheapest epoch costs of those that the ledger could not grant; None where there are none."""
        return min((self._price(segment.config) for segment in (*self._dropped, *self._cut)), default=None)

    def drop(self) -> list[Segment]:
        """Removes and returns the cut segments, for good: the ledger will never be able to grant them."""
        found = list(self._cut)
        self._cut.clear()
        self._dropped += found
        return found

    def take(self, room: int) -> Segment | None:
        """Removes and returns the next segment; None where there is nothing to train now, or the schedule is broken.

        Of the cut ones it is the first whose epoch costs at most `room`. Where there is none, the schedule may have a
        cheaper one: it is asked until `WAITING` segments wait or were dropped.
        """
        if self._broken:
            return None
        for place, segment in enumerate(self._cut):
            if self._price(segment.config) <= room:
                del self._cut[place]
                return segment
        if len(self._cut) + len(self._dropped) >= WAITING:
            return None
        if self._planned:
            segment = self._planned.popleft()
            self._count(segment, -1)
            self._shown = max(0, self._shown - 1)
            return segment
        new = self._schedule.next_segment()
        return None if self._broken else new

    @property
    def _broken(self) -> str:
        return str(getattr(self._schedule, "broken", ""))

    def plan(self, count: int, room: int) -> None:
        """Asks an oblivious schedule for segments early, since no result can change them.

        Stops at `count` planned segments, or where they cost at least `room` (what the budget has left).
        """
        if not self._schedule.oblivious:
            return
        while len(self._planned) < count and self.amount < room:
            segment = self._schedule.next_segment()
            if segment is None:
                return
            self._planned.append(segment)
            self.resumes |= segment.start > 0
            self._count(segment, 1)

    def _count(self, segment: Segment, sign: int) -> None:
        epochs = segment.stop - segment.start
        self.epochs += sign * epochs
        self.amount += sign * epochs * self._price(segment.config)

    def planned(self, room: int) -> Iterator[tuple[TrialKey, Segment]]:
        """The planned segments with their trials' keys, in order; the last one is shortened to cost at most `room`."""
        for segment in self._planned:
            price = self._price(segment.config)
            stop = min(segment.stop, segment.start + room // price)
            if stop <= segment.start:
                return
            yield self._key_of(segment), replace(segment, stop=stop)
            room -= (stop - segment.start) * price

    def ahead(self, curves: Curves) -> int:
        """Counts the epochs of the planned segments that are known already."""
        return sum(max(0, min(curves.known(self._key_of(s).id), s.stop) - s.start) for s in self._planned)

    def fresh(self) -> Iterator[tuple[TrialKey, Segment, int]]:
        """The planned segments that no call has shown yet, with their trials' keys and the planned epochs before them."""
        new = list(islice(self._planned, self._shown, None))
        self._shown = len(self._planned)
        ahead = self.epochs - sum(segment.stop - segment.start for segment in new)
        for segment in new:
            yield self._key_of(segment), segment, ahead
            ahead += segment.stop - segment.start

    def take_key(self, segment: Segment) -> TrialKey:
        """The key of the trial that the segment begins. Each trial's key is made once, however often it is shown."""
        key = self._key_of(segment)
        del self._keys[segment.trial]
        return key

    def _key_of(self, segment: Segment) -> TrialKey:
        if segment.trial not in self._keys:
            self._keys[segment.trial] = self._key(segment.config, self._schedule.max_epochs)
        return self._keys[segment.trial]
