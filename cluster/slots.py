"""How many trials Ray packs on nodes at once, counted as Ray places the bundles of placement groups. Pure.

Ray counts in ten-thousandths and cuts off the rest. It counts GPUs by devices: a request below 1 takes its share of a
single device, a request from 1 on takes whole free ones. All other resources are heaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GRAIN = 10_000
BY_DEVICE = frozenset({"GPU", "neuron_cores", "TPU", "NPU", "HPU", "RBLN", "FURIOSA", "TTNPU", "MBLT"})
MOST = 1_000_000  # the count of a request that takes nothing

Amounts = Mapping[str, float]
Grains = dict[str, list[int]]  # resource -> what is free: of each device, or of the one heap


@dataclass(frozen=True)
class Request:
    """What a trial asks Ray for: bundles, which may lie on several nodes, all on nodes with these labels.

    labels: key -> "value", "!value", "in(a,b)" or "!in(a,b)", as Ray's label selectors.
    """

    bundles: tuple[Amounts, ...] = ({"CPU": 1.0},)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> dict[str, float]:
        """Returns the amounts of all bundles together."""
        names = dict.fromkeys(name for bundle in self.bundles for name in bundle)
        return {name: sum(bundle.get(name, 0) for bundle in self.bundles) for name in names}


@dataclass(frozen=True)
class NodeResources:
    """A node's resources and labels, as `ray.nodes()` lists them, and what other work leaves free.

    free: what is free of each resource; None where all is. devices: the free share of each device, by resource; where
    it is missing, the free sum is taken to be as few part-used devices as possible, which is how Ray fills them.
    """

    id: str
    total: Amounts
    labels: Mapping[str, str] = field(default_factory=dict)
    free: Amounts | None = None
    devices: Mapping[str, Sequence[float]] = field(default_factory=dict)
    name: str = ""

    def grains(self) -> Grains:
        """Returns what is free, in ten-thousandths."""
        return {name: self._parts(name, total) for name, total in self.total.items()}

    def _parts(self, name: str, total: float) -> list[int]:
        free = total if self.free is None else min(total, self.free.get(name, 0.0))
        if name not in BY_DEVICE:
            return [_grains(free)]
        if name in self.devices:
            return [_grains(share) for share in self.devices[name]]
        whole, rest = divmod(_grains(free), GRAIN)
        return [GRAIN] * min(whole, int(total)) + ([rest] if whole < int(total) else [])


def capacity(nodes: Iterable[NodeResources], request: Request) -> int:
    """Returns how many trials Ray packs at once on what these nodes have free."""
    able = [node.grains() for node in nodes if matches(node.labels, request.labels)]
    bundles = [_asked(bundle) for bundle in request.bundles]
    if len(bundles) == 1:
        return min(MOST, sum(_times(free, bundles[0]) for free in able))
    count = 0
    while count < MOST and _place(able, bundles):
        count += 1
    return count


def matches(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Returns whether a node with these labels meets Ray's label selector. A label that is missing has no value."""
    return all(_meets(labels.get(key), wanted) for key, wanted in selector.items())


def _meets(value: str | None, wanted: str) -> bool:
    negated, wanted = wanted.startswith("!"), wanted.removeprefix("!")
    values = wanted[3:-1].split(",") if wanted.startswith("in(") and wanted.endswith(")") else [wanted]
    return (value in values) is not negated


def _times(free: Grains, bundle: Mapping[str, int]) -> int:
    """Returns how often one bundle fits."""
    return min((_fit(name, free.get(name, []), need) for name, need in bundle.items()), default=MOST)


def _fit(name: str, parts: Sequence[int], need: int) -> int:
    if name in BY_DEVICE and need >= GRAIN:
        return 0 if need % GRAIN else sum(part == GRAIN for part in parts) // (need // GRAIN)
    return sum(part // need for part in parts)


def _place(able: list[Grains], bundles: list[dict[str, int]]) -> bool:
    """Takes the room for one placement group, as Ray's PACK does: the largest bundles first, each on the node that it
    fills least, and with it all others that fit there. Returns whether all bundles found room."""
    left = sorted(bundles, key=_size, reverse=True)
    nodes = list(able)
    while left and nodes:
        best = max(nodes, key=lambda free: _score(free, left[0]))
        if _score(best, left[0]) < 0:
            return False
        nodes = [node for node in nodes if node is not best]
        left = [bundle for bundle in left if not _take(best, bundle)]
    return not left


def _size(bundle: Mapping[str, int]) -> tuple[int, ...]:
    others = sum(need for name, need in bundle.items() if name not in ("GPU", "memory", "CPU"))
    return bundle.get("GPU", 0), others, bundle.get("memory", 0), bundle.get("CPU", 0)


def _score(free: Grains, bundle: Mapping[str, int]) -> float:
    if not _times(free, bundle):
        return -1.0
    sums = [(sum(free[name]), need) for name, need in bundle.items()]
    return sum((have - need) / have for have, need in sums)


def _take(free: Grains, bundle: Mapping[str, int]) -> bool:
    if not _times(free, bundle):
        return False
    for name, need in bundle.items():
        parts = free[name]
        if name in BY_DEVICE and need >= GRAIN:
            whole = [index for index, part in enumerate(parts) if part == GRAIN][: need // GRAIN]
            for index in whole:
                parts[index] = 0
        else:
            fitting = [index for index, part in enumerate(parts) if part >= need]
            parts[min(fitting, key=lambda index: parts[index])] -= need
    return True


def _asked(bundle: Amounts) -> dict[str, int]:
    return {name: max(1, _grains(amount)) for name, amount in bundle.items() if amount > 0}


def _grains(amount: float) -> int:
    return int(amount * GRAIN)  # to the bit: 0.3334 times 10,000 is less than 3334 for Ray, too


class Room:
    """What nodes have free, filled trial by trial, each on one node where its bundles fit together."""

    def __init__(self, nodes: Iterable[NodeResources]) -> None:
        self._labels = {node.id: node.labels for node in nodes}
        self._free = {node.id: node.grains() for node in nodes}

    def matching(self, request: Request) -> list[str]:
        """Returns the nodes whose labels the request selects."""
        return [name for name, labels in self._labels.items() if matches(labels, request.labels)]

    def place(self, name: str, request: Request) -> bool:
        """Takes a trial's room on the node and returns True; leaves all as it is and returns False if it does not fit."""
        bundles = [_asked(bundle) for bundle in request.bundles]
        free = self._free[name]
        if len(bundles) == 1:
            return _take(free, bundles[0])
        rest = {resource: list(parts) for resource, parts in free.items()}
        if not all(_take(rest, bundle) for bundle in sorted(bundles, key=_size, reverse=True)):
            return False
        self._free[name] = rest
        return True

    def spread(self, names: Sequence[str], request: Request) -> bool:
        """As `place`, for a trial of several bundles that no single node holds."""
        rest = {name: {resource: list(parts) for resource, parts in self._free[name].items()} for name in names}
        fits = len(request.bundles) > 1 and _place(list(rest.values()), [_asked(bundle) for bundle in request.bundles])
        if fits:
            self._free |= rest
        return fits
