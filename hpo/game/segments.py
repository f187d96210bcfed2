"""The segments of a run that wait for a virtual worker. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from hpo.methods.protocol import Schedule
from hpo.study.space import Config
from hpo.study.values import Segment, TrialKey


class SegmentQueue:
    """What a free virtual worker trains next: cut segments first, then planned ones, then what the schedule decides.

    State:
      _cut       the rests of segments that the ledger could not grant in full, the oldest first; the run has paused
                 their trials at `start`
      _planned   segments that an oblivious schedule handed out before a worker was free, in its order
      _keys      the keys of trials that `planned` has shown and the run has not created yet, by their numbers

    Only the schedule's own order decides: nothing is sorted, and nothing that was planned is taken back.
    """

    def __init__(self, schedule: Schedule, key: Callable[[Config, int], TrialKey]) -> None:
        self._schedule = schedule
        self._key = key
        self._cut: deque[Segment] = deque()
        self._planned: deque[Segment] = deque()
        self._keys: dict[int, TrialKey] = {}

    def put_back(self, rest: Segment) -> None:
        """Keeps what is left of a segment that the ledger cut; it comes before anything planned."""
        self._cut.append(rest)

    def take(self) -> Segment | None:
        """Removes and returns the next segment; None where the schedule has nothing to train now."""
        if self._cut:
            return self._cut.popleft()
        if self._planned:
            return self._planned.popleft()
        return self._schedule.next_segment()

    def plan(self, count: int, room: int) -> None:
        """Asks an oblivious schedule for segments early, since no result can change them.

        Stops at `count` planned segments, or where they have at least `room` epochs (what the budget has left).
        """
        if not self._schedule.oblivious:
            return
        room -= sum(segment.stop - segment.start for segment in self._planned)
        while len(self._planned) < count and room > 0:
            segment = self._schedule.next_segment()
            if segment is None:
                return
            self._planned.append(segment)
            room -= segment.stop - segment.start

    def planned(self, room: int) -> Iterator[tuple[TrialKey, Segment]]:
        """The planned segments with their trials' keys, in order; the last one is shortened to fit into `room` epochs."""
        for segment in self._planned:
            if room <= 0:
                return
            stop = min(segment.stop, segment.start + room)
            yield self._key_of(segment), replace(segment, stop=stop)
            room -= stop - segment.start

    def take_key(self, segment: Segment) -> TrialKey:
        """The key of the trial that the segment begins. Each trial's key is made once, however often it is shown."""
        key = self._key_of(segment)
        del self._keys[segment.trial]
        return key

    def _key_of(self, segment: Segment) -> TrialKey:
        if segment.trial not in self._keys:
            self._keys[segment.trial] = self._key(segment.config, self._schedule.max_epochs)
        return self._keys[segment.trial]
