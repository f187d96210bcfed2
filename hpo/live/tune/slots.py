"""How many trials the cluster holds at a time, and the resources that each of them requests."""

from __future__ import annotations

import time
from collections.abc import Mapping

import ray
from ray import tune

from hpo.live.tune import MOST_SLOTS
from hpo.study.study import Resources

LEAST_CPU = 0.0001  # for a trial that needs nothing: Tune has no empty requests, and Ray no smaller share
REFRESH_SECONDS = 2.0


class Slots:
    """Counts the assignments that may be under way: as many as fit on the cluster's living nodes, at most `limit`."""

    def __init__(self, resources: Resources, limit: int | None) -> None:
        self.ranks = int(resources.gpus) if resources.gpus > 1 else 1
        self.rank_cpus = resources.cpus
        cpus = resources.cpus if self.ranks == 1 else 1 + self.ranks * resources.cpus
        self._need = {"CPU": cpus, "GPU": resources.gpus, "memory": (resources.memory_gb or 0) * 2**30}
        self._resources = resources
        self._limit = limit or MOST_SLOTS
        self._count, self._at = 0, -REFRESH_SECONDS

    @property
    def count(self) -> int:
        if time.monotonic() - self._at > REFRESH_SECONDS:
            self._at = time.monotonic()
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._count = min(self._limit, sum(self._fit(node) for node in nodes))
        return self._count

    def _fit(self, node: Mapping[str, float]) -> int:
        needs = [int(node.get(name, 0) / amount + 1e-9) for name, amount in self._need.items() if amount > 0]
        return min(needs, default=self._limit)

    def request(self) -> tune.PlacementGroupFactory:
        """What a trial requests: one bundle, or with several GPUs one for itself and one for each rank."""
        gpus, memory = self._resources.gpus, self._resources.memory_gb
        first: dict[str, float] = {"CPU": self._resources.cpus if self.ranks == 1 else 1}
        if memory:
            first["memory"] = memory * 2**30
        if not any(first.values()) and not gpus:
            first["CPU"] = LEAST_CPU
        if self.ranks == 1:
            return tune.PlacementGroupFactory([{**first, **({"GPU": gpus} if gpus else {})}])
        return tune.PlacementGroupFactory([first, *[{"GPU": 1, "CPU": self.rank_cpus}] * self.ranks])
