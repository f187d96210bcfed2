"""Which study may hold how many slots, and where: weighted max-min fairness through a real packing of the nodes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.slots import NodeResources, Request, Room, capacity

ANYWHERE = ""  # in place of a node: trials whose bundles lie on several nodes

Plan = dict[str, dict[str, int]]
"""Claim -> node -> slots."""


@dataclass(frozen=True)
class Claim:
    """What a study asks of the cluster.

    request: of one slot. wants: the slots that it could use now. weight: its priority. least: slots that it gets first
    where there is room. most: its limit. since: when it came, in seconds; the earlier goes first where all else is
    equal. holds: node -> slots that it has there.
    """

    id: str
    request: Request
    wants: int
    weight: float = 1.0
    least: int = 0
    most: int = 4096
    since: float = 0.0
    holds: Mapping[str, int] = field(default_factory=dict)

    @property
    def limit(self) -> int:
        """The slots that it could use."""
        return max(0, min(self.wants, self.most))


def fair(nodes: Sequence[NodeResources], claims: Iterable[Claim]) -> Plan:
    """Returns the slots that each claim may hold of what the nodes have free for all claims together.

    Each claim gets one slot first, then its `least`, then its part. Every next slot goes to the claim with the smallest
    dominant share: the slots that it would have, divided by those that it could have alone and by its weight
    (progressive filling, Ghodsi et al. 2011, with D'Hondt's rounding). A claim keeps the slots that it has where it can,
    and those that it could not use now where no other claim could use them either.

        4 slots, equal weights: both want 9 -> 2, 2;  one wants 1, the other 9 -> 1, 3;  weights 1 and 3 -> 1, 3
    """
    filling = _Filling(nodes, sorted(claims, key=lambda claim: (claim.since, claim.id)))
    filling.fill(lambda claim: min(1, claim.limit))
    filling.fill(lambda claim: min(claim.least, claim.limit))
    filling.fill(lambda claim: claim.limit)
    filling.fill(lambda claim: min(claim.most, sum(claim.holds.values())))
    return filling.plan


class _Filling:
    """Gives out slots one at a time. What does not fit once fits never again, so each claim passes each node once."""

    def __init__(self, nodes: Sequence[NodeResources], claims: Sequence[Claim]) -> None:
        self.plan: Plan = {claim.id: {} for claim in claims}
        self._room = Room(nodes)
        self._claims = claims
        self._parts = {claim.id: capacity(nodes, claim.request) * claim.weight for claim in claims}
        self._kept = {claim.id: self._held(claim) for claim in claims}
        self._places = {claim.id: self._others(claim) for claim in claims}
        self._counts = dict.fromkeys(self.plan, 0)

    def fill(self, limit: Callable[[Claim], int]) -> None:
        """Fills every claim up to its limit."""
        open_ = [claim for claim in self._claims if self._parts[claim.id] > 0]
        while open_ := [claim for claim in open_ if self._counts[claim.id] < limit(claim)]:
            next_ = min(open_, key=lambda claim: (self._counts[claim.id] + 1) / self._parts[claim.id])
            place = self._place(next_)
            if place is None:
                open_.remove(next_)
                self._parts[next_.id] = 0
                continue
            self._counts[next_.id] += 1
            self.plan[next_.id][place] = self.plan[next_.id].get(place, 0) + 1

    def _place(self, claim: Claim) -> str | None:
        """Returns where the claim's next slot goes: where it has one, else where others have the least."""
        for name in self._kept[claim.id]:
            if self._room.place(name, claim.request):
                return name
        places = self._places[claim.id]
        while places:
            if self._room.place(places[-1], claim.request):
                return places[-1]
            places.pop()
        return ANYWHERE if self._room.spread(self._room.matching(claim.request), claim.request) else None

    def _held(self, claim: Claim) -> Iterator[str]:
        matching = set(self._room.matching(claim.request))
        return iter([name for name, count in claim.holds.items() if name in matching for _ in range(count)])

    def _others(self, claim: Claim) -> list[str]:
        """Returns the nodes in the order in which the claim takes new slots there, last first."""
        others: dict[str, int] = {}
        for other in self._claims:
            for name, count in other.holds.items() if other is not claim else ():
                others[name] = others.get(name, 0) + count
        return sorted(self._room.matching(claim.request), key=lambda name: (others.get(name, 0), name), reverse=True)
