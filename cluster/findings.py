"""What of a machine would stop a study, or slow it down, and what to do: judged from what `cluster.probe` tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cluster.errors import ClusterError
from cluster.needs import Node, Report

GIB = 2**30
LEAST_MEMORY, USUAL_MEMORY = GIB // 2, 2 * GIB  # a driver and one worker with torch take about one and a half
SHARED = GIB + GIB // 4  # what our own cluster and the kept activations take at most
LEAST_DISK = GIB
FULL = 0.05  # Ray writes nothing more to a temporary folder whose disk has less than this share left
FOLDED = 12  # nodes without a complaint that are listed one by one

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis: `problem` would stop a study, `note` may matter; `says` ends with what to do."""

    level: Level
    subject: str
    says: str


def of_machine(told: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields what holds of a machine's processors, memory, shared memory and temporary folder."""
    yield _memory(told)
    yield _shared_memory(told["shared_memory"])
    yield _temp(told["temp"])


def of_disk(subject: str, path: str, room: Mapping[str, int] | None, wanted: int, use: str, remedy: str) -> Finding:
    """Judges the disk that holds `path`: `wanted` bytes are what `use` may take."""
    if room is None:
        return Finding("problem", subject, f"{path} must be readable, but it is not; {remedy}")
    left = f"{path} has {_gib(room['free'])} free"
    if room["free"] < LEAST_DISK:
        return Finding("problem", subject, f"{left}, and a study needs at least {_gib(LEAST_DISK)}; {remedy}")
    if room["free"] < wanted:
        return Finding("note", subject, f"{left}, and {use} may take {_gib(wanted)}; {remedy}")
    return Finding("ok", subject, left)


def of_gpus(told: Mapping[str, Any], torch: str, seen: int | None, *, hidden: bool = False) -> Finding:
    """Judges the GPUs.

    `torch` is the installed version, `seen` the GPUs that it starts; None where nobody tried. `hidden`: the user hides them.
    """
    gpus = list(told["gpus"])
    if not gpus:
        return Finding("note", "GPUs", "none: networks train on the CPU, which takes longer")
    have = f"{len(gpus)} x {gpus[0]}, driver {told['driver']}"
    if torch.endswith("+cpu"):
        return Finding(
            "note",
            "GPUs",
            f"{have}, but torch {torch} is a CPU build: networks train on the CPU; install the CUDA builds",
        )
    if seen == 0 and not hidden:
        return Finding("problem", "GPUs", f"{have}, but torch {torch} starts none of them; update the driver")
    if seen is not None and seen < len(gpus):
        return Finding("note", "GPUs", f"{have}; CUDA_VISIBLE_DEVICES lets this process see {seen} of them")
    return Finding("ok", "GPUs", have)


def of_token(found: str, mode: str, length: int, shortest: int) -> Finding:
    """Judges the cluster's token: where it was `found` ("": nowhere), its length, and RAY_AUTH_MODE."""
    if not found and mode == "token":
        return Finding(
            "problem", "token", "RAY_AUTH_MODE is token, but there is none; run `python -m cluster.tokens`, or unset it"
        )
    if not found:
        return Finding(
            "note",
            "token",
            "none. This machine alone needs none; a cluster that others can reach does: `python -m cluster.tokens`",
        )
    if mode == "disabled":
        return Finding(
            "note", "token", f"from {found}, but RAY_AUTH_MODE is disabled: whoever reaches a head runs code"
        )
    if length < shortest:
        return Finding("note", "token", f"from {found}, of {length} characters; a safe one has at least {shortest}")
    return Finding("ok", "token", f"from {found}")


def of_clock(where: str, skew: float, most: float) -> Finding:
    """Judges how far the clock of `where` is ahead of this machine's, in seconds."""
    says = f"{where} differs from this machine's clock by {_signed(skew)}"
    if abs(skew) > most:
        return Finding("problem", "clock", f"{says}, and {most:g} s are the most; start the time service of both")
    return Finding("ok", "clock", says)


def of_cluster(address: str, report: Report) -> Iterator[Finding]:
    """Yields what the preflight's probes found: of the cluster as a whole, then of each node."""
    nodes = report.nodes
    total = {name: sum(node.resources.total.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    have = ", ".join(_counted(*pair) for pair in ((len(nodes), "node"), (total["CPU"], "CPU"), (total["GPU"], "GPU")))
    yield Finding("ok", "cluster", f"{address} answers: {have}")
    for reason in report.reasons:
        yield Finding("problem", "cluster", reason)
    sound: list[Finding] = []
    for node in nodes:
        found = list(_of_node(node, report))
        yield from (finding for finding in found if finding.level != "ok")
        sound += [finding for finding in found if finding.level == "ok"]
    yield from sound[:FOLDED]
    if len(sound) > FOLDED:
        yield Finding("ok", "nodes", f"{len(sound) - FOLDED} more without a complaint")


def of_refusal(error: ClusterError) -> Finding:
    """Returns the finding of a cluster that cannot be asked."""
    return Finding("problem", "cluster", str(error))


def _of_node(node: Node, report: Report) -> Iterator[Finding]:
    """Yields a note for each thing that may matter on a node, or one line that says that nothing does."""
    if node.answer is None or list(node.complaints(report.needs)):
        return  # among the report's reasons, unless no trial fits there
    told: Any = node.answer["machine"]
    found = [finding for finding in of_machine(told) if finding.level != "ok"]
    idle = len(told["gpus"]) - node.resources.total.get("GPU", 0)
    if idle >= 1:
        found.append(
            Finding(
                "note", "GPUs", f"{idle:g} of {len(told['gpus'])} GPUs are unknown to Ray; restart it with --num-gpus"
            )
        )
    for finding in found:
        yield Finding(finding.level, f"node {node.name}", f"{finding.subject}: {finding.says}")
    if not found:
        room = f"{_gib(told['memory']['free'])} of memory and {_gib(told['temp']['free'])} of disk free"
        yield Finding("ok", f"node {node.name}", f"Python, packages, clock ({_signed(node.skew)}); {room}")


def _memory(told: Mapping[str, Any]) -> Finding:
    free, total = told["memory"]["free"], told["memory"]["total"]
    says = f"{_counted(told['cpus'], 'CPU')}, {_gib(free)} of {_gib(total)} free"
    if free < LEAST_MEMORY:
        return Finding("problem", "memory", f"{says}: too little for one worker; end other programs")
    if free < USUAL_MEMORY:
        return Finding("note", "memory", f"{says}: enough for one worker at a time; start with --workers 1")
    return Finding("ok", "memory", says)


def _shared_memory(room: Mapping[str, int] | None) -> Finding:
    if room is None:
        return Finding(
            "note", "shared memory", "there is no /dev/shm: what trials share lies on the disk, which is slower"
        )
    says = f"/dev/shm has {_gib(room['free'])} of {_gib(room['total'])} free"
    if room["free"] < SHARED:
        return Finding(
            "note",
            "shared memory",
            f"{says}: the rest lies on the disk, which is slower; start a container with --shm-size=2g or more",
        )
    return Finding("ok", "shared memory", says)


def _temp(temp: Mapping[str, Any]) -> Finding:
    free, path = temp["free"], temp["path"]
    remedy = "make room, or set TMPDIR to another disk"
    if temp["total"] > 0 and free >= LEAST_DISK and free < FULL * temp["total"]:
        share = free / temp["total"]
        return Finding(
            "note", "temp", f"{path} has {_gib(free)} free, {share:.0%} of its disk: Ray warns below 5%; {remedy}"
        )
    return of_disk("temp", path, temp if temp["total"] else None, LEAST_DISK, "Ray", remedy)


def _counted(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _signed(seconds: float) -> str:
    return f"{round(seconds, 1) + 0.0:+.1f} s"  # + 0.0: no -0.0


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"
