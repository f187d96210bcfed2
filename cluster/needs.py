"""What a study needs from a cluster, what the nodes have, and why the two do not match. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.needs_table import Cells, lines, rows
from cluster.shortage import GIB, shortage
from cluster.slots import NodeResources, Request, capacity

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["GIB", "Needs", "Node", "PreflightError", "Report"]


class PreflightError(ClusterError):
    """A cluster that cannot run the study: one sentence per reason, each on its own line."""


@dataclass(frozen=True)
class Needs:
    """What each trial needs, and what every node that trains must have.

    request: what a trial asks Ray for. gpu_memory: bytes per trial. packages: name -> the driver's version, empty if any
    will do. python: MAJOR.MINOR. data_root, store: a path or s3://. clock_skew: seconds by which a node's clock may differ
    from the driver's.
    """

    request: Request = field(default_factory=Request)
    gpu_memory: int = 0
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    data_root: str | None = None
    store: str | None = None
    clock_skew: float = 5.0

    def __post_init__(self) -> None:
        low = min([self.gpu_memory, *self.request.total.values()])
        if low < 0 or self.clock_skew <= 0:
            raise PreflightError(f"needs must not be negative and clock_skew must be positive, but got {self}")

    @property
    def gpus(self) -> float:
        """Returns the GPUs of one process of a trial: a share of a single one, or several."""
        return max(bundle.get("GPU", 0.0) for bundle in self.request.bundles)


@dataclass(frozen=True)
class Node:
    """What one node has and sees. `answer` is the probe's; None if it gave none, and then `silence` says why."""

    name: str
    resources: NodeResources
    answer: Mapping[str, object] | None = None
    silence: str = ""
    skew: float = 0.0
    driver: bool = False

    @property
    def empty(self) -> NodeResources:
        """Returns the node's resources as if nobody held any of them."""
        return replace(self.resources, free=None, devices={})

    def room(self, needs: Needs) -> int:
        """Returns how many trials fit at once on the node when it is empty."""
        return capacity([self.empty], needs.request)

    def free(self, needs: Needs) -> int:
        """Returns how many trials fit beside what others hold now."""
        return capacity([self.resources], needs.request)

    def takes_part(self, needs: Needs) -> bool:
        """Returns whether a trial, or one process of a trial that several nodes share, could run here."""
        parts = (Request((bundle,), needs.request.labels) for bundle in needs.request.bundles)
        return any(capacity([self.empty], part) for part in parts)

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
        yield from self.version_complaints(needs)
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

    def version_complaints(self, needs: Needs) -> Iterator[str]:
        """Yields how the versions on this node, which has answered, differ from the driver's."""
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
        """Returns how many trials fit at once on the cluster when it is empty."""
        return capacity([node.empty for node in self.nodes], self.needs.request)

    @property
    def free(self) -> int:
        """Returns how many trials fit beside what others hold now."""
        return capacity([node.resources for node in self.nodes], self.needs.request)

    @property
    def shortage(self) -> str:
        """Returns why the nodes have no room for a trial, and "" where they have or more may come."""
        return "" if self.elastic else shortage([node.resources for node in self.nodes], self.needs.request)

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

    def lines(self, width: int) -> list[Table | Text]:
        """Returns what a trial needs and the nodes, or the kinds of many nodes, for a console of that width."""
        return lines(self, width)

    def rows(self) -> list[Cells]:
        """Returns the tables' rows, column -> text."""
        return rows(self)

    def _reasons(self) -> Iterator[str]:
        if not self.nodes:
            yield "a cluster must have at least one node, but this one has none"
            return
        if shortage := self.shortage:
            yield shortage
        for node in self.nodes:
            if node.takes_part(self.needs):
                yield from node.complaints(self.needs)
            elif node.driver and node.answer is not None and node.answer.get("store"):
                yield (
                    f"the store {self.needs.store} must be readable and writable on the driver's node {node.name}, but: "
                    f"{node.answer['store']}"
                )


def _public(version: str) -> str:
    """Returns a version without its build tag: the CPU and CUDA builds of a release are the same code."""
    return version.split("+")[0]
