"""How many trials the cluster holds at a time, and the resources that each of them requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import ray
from ray import tune

from cluster.needs import room
from hpo.live.tune import MOST_SLOTS
from hpo.study.study import Resources

LEAST_CPU = 0.0001  # for a trial that needs nothing: Tune has no empty requests, and Ray no smaller share
REFRESH_SECONDS = 5.0

Target = Callable[[Mapping[str, int], int], int]
"""(node id -> slots held there, assignments that could be under way) -> how many slots the study may have."""


class Slots:
    """Counts the slots that a study may have: as many as fit on the cluster's living nodes, at most `limit`."""

    def __init__(self, resources: Resources, limit: int | None) -> None:
        self._need = {"CPU": resources.cpus_in_all, "GPU": resources.gpus, "memory": resources.memory}
        self._resources = resources
        self._limit = limit or MOST_SLOTS
        self._count, self._at = 0, -REFRESH_SECONDS

    def target(self, holds: Mapping[str, int], wants: int) -> int:
        """Returns what fits, whoever else is there; see Target."""
        if time.monotonic() - self._at > REFRESH_SECONDS or not self._count:
            self._at = time.monotonic()
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._count = min(self._limit, sum(room(node, self._need, self._limit) for node in nodes))
        return self._count

    @property
    def shares(self) -> dict[str, float]:
        """What a worker process has to know of its slot's request."""
        return {"ranks": self._resources.ranks, "rank_cpus": self._resources.cpus, "gpus": self._resources.gpus}

    def request(self) -> tune.PlacementGroupFactory:
        """What a slot requests: one bundle, or with several GPUs one for itself and one for each rank."""
        cpus, gpus, ranks = self._resources.cpus, self._resources.gpus, self._resources.ranks
        first: dict[str, float] = {"CPU": cpus if ranks == 1 else 1}
        if self._resources.memory:
            first["memory"] = self._resources.memory
        if not any(first.values()) and not gpus:
            first["CPU"] = LEAST_CPU
        if ranks == 1:
            return tune.PlacementGroupFactory([{**first, **({"GPU": gpus} if gpus else {})}])
        return tune.PlacementGroupFactory([first, *[{"GPU": 1, "CPU": cpus}] * ranks])
