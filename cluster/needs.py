"""What a study needs from a cluster, what the nodes have, and why the two do not match. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from rich.table import Table

GIB = 2**30
GRAIN = 10_000  # Ray counts in ten-thousandths, and cuts off the rest
WHOLE = ("GPU",)  # Ray counts these by devices, and a request below 1 takes its share of a single one


class PreflightError(ClusterError):
    """A cluster that cannot run the study: one sentence per reason, each on its own line."""


@dataclass(frozen=True)
class Needs:
    """What each trial needs, and what every node that trains must have.

    cpus, gpus: Ray's logical ones, fractions allowed. memory, gpu_memory: bytes per trial. packages: name -> the
    driver's version, empty if any will do. python: MAJOR.MINOR. data_root, store: a path or s3://. clock_skew: seconds
    by which a node's clock may differ from the driver's.
    """

    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    gpu_memory: int = 0
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    data_root: str | None = None
    store: str | None = None
    clock_skew: float = 5.0

    def __post_init__(self) -> None:
        low = min(self.cpus, self.gpus, self.memory, self.gpu_memory)
        if low < 0 or self.clock_skew <= 0:
            raise PreflightError(f"needs must not be negative and clock_skew must be positive, but got {self}")


@dataclass(frozen=True)
class Node:
    """What one node has and sees. `answer` is the probe's; None if it gave none, and then `silence` says why."""

    name: str
    cpus: float
    gpus: float
    memory: int
    answer: Mapping[str, object] | None = None
    silence: str = ""
    skew: float = 0.0
    driver: bool = False

    def room(self, needs: Needs) -> int:
        """Returns how many trials fit at once."""
        have = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return room(have, {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory}, most=1)

    def gpu_share(self, needs: Needs) -> int:
        """Returns the bytes of GPU memory that one trial gets here, by the smallest GPU; 0 if unknown."""
        sizes = [] if self.answer is None else self.answer.get("gpu_memory")
        if not isinstance(sizes, Sequence) or not sizes or not needs.gpus:
            return 0
        return int(min(sizes) * min(1.0, needs.gpus))

    def complaints(self, needs: Needs) -> Iterator[str]:
        """Yields why this node cannot train a trial that it has room for."""
        if self.answer is None:
            yield f"node {self.name} must answer, but {self.silence}"
            return
        yield from self._version_complaints(needs)
        share = self.gpu_share(needs)
        if needs.gpu_memory and share and share < needs.gpu_memory:
            yield (
                f"a trial needs {needs.gpu_memory / GIB:.1f} GiB of GPU memory, but {needs.gpus:g} of a GPU on node "
                f"{self.name} has {share / GIB:.1f} GiB; raise resources.gpus"
            )
        if self.answer.get("data_root"):
            yield f"data.root {needs.data_root} must be readable on node {self.name}, but: {self.answer['data_root']}"
        if self.answer.get("store"):
            yield f"the store {needs.store} must be readable and writable on node {self.name}, but: {self.answer['store']}"
        if abs(self.skew) > needs.clock_skew:
            yield (
                f"clocks must agree within {needs.clock_skew:g} s, but the clock of node {self.name} differs from the "
                f"driver's by {self.skew:+.1f} s; start its time service"
            )

    def _version_complaints(self, needs: Needs) -> Iterator[str]:
        assert self.answer is not None
        python = str(self.answer["python"])
        if needs.python and not f"{python}.".startswith(f"{needs.python}."):
            yield f"node {self.name} must run Python {needs.python} like the driver, but it runs {python}"
        installed = self.answer["packages"]
        assert isinstance(installed, Mapping)
        for name, wanted in needs.packages.items():
            found = installed.get(name)
            if found is None:
                yield f"{name} {wanted}".rstrip() + f" must be installed on node {self.name}, but it is not"
            elif wanted and _public(found) != _public(wanted):
                yield f"{name} must be {wanted} on node {self.name} as on the driver's node, but it is {found}"


@dataclass(frozen=True)
class Report:
    """Compares needs with nodes. `elastic`: an autoscaler may still add nodes, so lack of room is no reason to refuse."""

    needs: Needs
    nodes: tuple[Node, ...]
    elastic: bool = False

    @property
    def room(self) -> int:
        """Returns how many trials fit on the cluster at once."""
        return sum(node.room(self.needs) for node in self.nodes)

    @property
    def shortage(self) -> str:
        """Returns why no node has room for a trial, and "" where one has or may come."""
        if self.room or self.elastic or not self.nodes:
            return ""
        needs = self.needs
        most = max(self.nodes, key=lambda node: (node.gpus, node.cpus) if needs.gpus else (node.cpus, node.gpus))
        lacking = (("gpus", most.gpus < needs.gpus), ("cpus", most.cpus < needs.cpus), ("memory_gb", True))
        scarce = next(name for name, lacks in lacking if lacks)
        largest = "only node" if len(self.nodes) == 1 else f"largest of the {len(self.nodes)}"
        return (
            f"a trial needs {_amounts(needs.cpus, needs.gpus, needs.memory)} on one node, but the {largest} has "
            f"{_amounts(most.cpus, most.gpus, most.memory if needs.memory else 0)}; lower resources.{scarce}, or choose a "
            "cluster with such a node"
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Returns why the study cannot run here, one sentence each; empty if it can."""
        return tuple(self._reasons())

    @property
    def ok(self) -> bool:
        """Returns whether the study can run here."""
        return not self.reasons

    def check(self) -> None:
        """Raises PreflightError with every reason if the study cannot run here."""
        if self.reasons:
            raise PreflightError("\n".join(self.reasons))

    def table(self) -> Table:
        """Returns a table for the console: a row with what a trial needs, then one row per node."""
        from rich.table import Table

        table = Table(title="needs and nodes", title_justify="left")
        for column in ("", "trials", "CPU", "GPU", "memory", "GPU memory", "packages", "data", "store", "clock"):
            table.add_column(column, justify="left" if column in ("", "packages", "data", "store") else "right")
        for row in self.rows():
            table.add_row(*row)
        return table

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the table's cells."""
        needs = self.needs
        first = ("a trial needs", "1", f"{needs.cpus:g}", f"{needs.gpus:g}", _gib(needs.memory), _gib(needs.gpu_memory),
                 f"{len(needs.packages)} pinned", needs.data_root or "-", needs.store or "-",
                 f"±{needs.clock_skew:g} s")  # fmt: skip
        return [first, *(self._row(node) for node in self.nodes)]

    def _row(self, node: Node) -> tuple[str, ...]:
        name = f"{node.name} (driver)" if node.driver else node.name
        head = (name, str(node.room(self.needs)), f"{node.cpus:g}", f"{node.gpus:g}", _gib(node.memory))
        if node.answer is None:
            return (*head, "-", "no answer", "-", "-", "-")
        versions = len(list(node._version_complaints(self.needs)))
        return (
            *head,
            _gib(node.gpu_share(self.needs)),
            "same as driver's" if not versions else f"{versions} differ",
            "-" if self.needs.data_root is None else "readable" if not node.answer["data_root"] else "NOT readable",
            "-" if self.needs.store is None else "writable" if not node.answer["store"] else "NOT writable",
            f"{node.skew:+.1f} s",
        )

    def _reasons(self) -> Iterator[str]:
        if not self.nodes:
            yield "a cluster must have at least one node, but this one has none"
            return
        if shortage := self.shortage:
            yield shortage
        for node in self.nodes:
            if node.room(self.needs):
                yield from node.complaints(self.needs)
            elif node.driver and node.answer is not None and node.answer.get("store"):
                yield (
                    f"the store {self.needs.store} must be readable and writable on the driver's node {node.name}, but: "
                    f"{node.answer['store']}"
                )


def room(have: Mapping[str, float], need: Mapping[str, float], most: int) -> int:
    """Returns how many times Ray packs `need` onto an empty node with the resources `have`; `most` for a need of nothing.

    2 GPUs hold 0.6 of a GPU twice, once on each, and never three times.
    """
    return min((_times(name, have.get(name, 0), amount) for name, amount in need.items() if amount > 0), default=most)


def _times(name: str, have: float, need: float) -> int:
    grains = max(1, _grains(need))
    if name in WHOLE and grains < GRAIN:
        return int(have) * (GRAIN // grains)
    return _grains(int(have) if name in WHOLE else have) // grains


def _grains(amount: float) -> int:
    return int(amount * GRAIN)  # to the bit: 0.3334 times 10,000 is less than 3334 for Ray, too


def _public(version: str) -> str:
    """Returns a version without its build tag: the CPU and CUDA builds of a release are the same code."""
    return version.split("+")[0]


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count else "-"


def _amounts(cpus: float, gpus: float, memory: int) -> str:
    text = f"{cpus:g} CPU and {gpus:g} GPU"
    return f"{text} and {memory / GIB:.1f} GiB of memory" if memory else text
