"""How many trials the cluster holds at a time, and the resources that each of them requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ray import tune

from cluster.living import living
from cluster.slots import Request, capacity
from hpo.live.tune import MOST_SLOTS
from hpo.study.study import Resources

REFRESH_SECONDS = 5.0

Target = Callable[[Mapping[str, int], int], int]
"""(node id -> slots held there, assignments that could be under way) -> how many slots the study may have."""

Spare = Callable[[str], bool]
"""Node id -> whether a slot there should be given back before one on another node."""


class Slots:
    """Counts the slots that a study may have: as many as fit on the cluster's living nodes, at most `limit`."""

    def __init__(self, resources: Resources, limit: int | None) -> None:
        self._need = Request(resources.bundles, resources.labels)
        self._resources = resources
        self._limit = limit or MOST_SLOTS
        self._count, self._at = 0, -REFRESH_SECONDS

    def target(self, holds: Mapping[str, int], wants: int) -> int:
        """Returns what fits, whoever else is there; see Target."""
        if time.monotonic() - self._at > REFRESH_SECONDS or not self._count:
            self._at = time.monotonic()
            self._count = min(self._limit, capacity(living(), self._need))
        return self._count

    @property
    def shares(self) -> dict[str, float]:
        """What a worker process has to know of its slot's request."""
        return {"ranks": self._resources.ranks, "rank_cpus": self._resources.cpus, "gpus": self._resources.gpus}

    def request(self) -> tune.PlacementGroupFactory:
        """What a slot requests, as a placement group: Tune passes the selectors on to Ray."""
        return tune.PlacementGroupFactory(
            [dict(bundle) for bundle in self._need.bundles],
            bundle_label_selector=[dict(self._need.labels)] * len(self._need.bundles) if self._need.labels else None,
        )
