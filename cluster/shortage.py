"""Why a trial fits on no node: what it asks for that is lacking, and what there is instead. Pure."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence

from cluster.slots import Amounts, NodeResources, Request, capacity, matches

GIB = 2**30
ACCELERATOR = "accelerator_type:"
OURS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gb"}  # Ray's name -> the study file's
_OF_RAY = (*OURS, "object_store_memory", "node:", ACCELERATOR)


def shortage(nodes: Sequence[NodeResources], request: Request) -> str:
    """Returns in one sentence why the nodes could not hold a trial if they were empty; "" if they could."""
    empty = [NodeResources(node.id, node.total, node.labels) for node in nodes]
    if not empty or capacity(empty, request):
        return ""
    able, kind = empty, ""
    for key, selector in request.labels.items():
        meeting = [node for node in able if matches(node.labels, {key: selector})]
        if not meeting:
            seen = _counted(node.labels.get(key, "no such label") for node in able)
            return (
                f"a trial needs a node with the label {key}={selector}, but {_have(able, kind)} {seen}; correct "
                "resources.labels, or start Ray on such nodes with --labels"
            )
        able, kind = meeting, f"{kind} and {key}={selector}" if kind else f" with {key}={selector}"
    for name, amount in request.total.items():
        having = [node for node in able if node.total.get(name)]
        if not (name in OURS or having):
            return _nameless(name, amount, able, kind)
        if name.startswith(ACCELERATOR):
            able, kind = having, f"{kind} and" if kind else " with"
            kind += f" {name.removeprefix(ACCELERATOR)}"
    return _together(able, kind, request) if len(request.bundles) > 1 else _on_one(able, kind, request.total)


def accelerators(total: Amounts) -> str:
    """Returns the types of a node's accelerators, as Ray names them; "" where it knows none."""
    return ", ".join(name.removeprefix(ACCELERATOR) for name in sorted(total) if name.startswith(ACCELERATOR))


def custom(total: Amounts) -> dict[str, float]:
    """Returns those of the amounts that are the cluster's own."""
    return {name: amount for name, amount in total.items() if not name.startswith(_OF_RAY)}


def _nameless(name: str, amount: float, able: Sequence[NodeResources], kind: str) -> str:
    if name.startswith(ACCELERATOR):
        seen = _counted(accelerators(node.total) or "no known accelerator" for node in able)
        return (
            f"a trial needs the accelerator {name.removeprefix(ACCELERATOR)}, but {_have(able, kind)} {seen}; choose another "
            "resources.accelerator, or a cluster with such a node"
        )
    known = sorted({own for node in able for own in custom(node.total)})
    close = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean {close[0]!r}?"
        if close
        else "correct resources.custom, or start Ray on such nodes with --resources"
    )
    return (
        f"a trial needs {amount:g} of the resource {name}, but {_have(able, kind)} "
        f"{'only ' + ', '.join(known) if known else 'no custom resources'}; {hint}"
    )


def _on_one(able: Sequence[NodeResources], kind: str, need: Amounts) -> str:
    names = _named(need)
    most = max(able, key=lambda node: _nearness(node.total, need))
    which = f"the only node{kind}" if len(able) == 1 else f"the largest of the {len(able)}{kind}"
    return (
        f"a trial needs {_amounts(need, names)} on one node, but {which} has {_amounts(most.total, names)}; lower "
        f"{_scarce(most.total, need)}, or choose a cluster with such a node"
    )


def _together(able: Sequence[NodeResources], kind: str, request: Request) -> str:
    need, names = request.total, _named(request.total)
    have = {name: sum(node.total.get(name, 0) for node in able) for name in names}
    part = request.bundles[-1]
    which = f"the only node{kind} has" if len(able) == 1 else f"the {len(able)} nodes{kind} together have"
    return (
        f"a trial needs {_amounts(need, names)} ({_amounts(part, ('CPU', 'GPU'))} on one node for each of its processes), but "
        f"{which} {_amounts(have, names)}; lower {_scarce(have, need)}, or choose a larger cluster"
    )


def _nearness(have: Amounts, need: Amounts) -> tuple[int, float, float]:
    enough = sum(have.get(name, 0) >= amount for name, amount in need.items())
    return enough, have.get("GPU", 0) if need.get("GPU") else 0, have.get("CPU", 0)


def _scarce(have: Amounts, need: Amounts) -> str:
    """Returns the study file's key for what is lacking: GPUs before custom resources, memory and CPUs."""
    order = sorted(_named(need), key=lambda name: (name != "GPU", name in OURS, name == "CPU"))
    name = next((name for name in order if have.get(name, 0) < need.get(name, 0)), "CPU")
    return f"resources.{OURS.get(name, f'custom.{name}')}"


def _named(need: Amounts) -> list[str]:
    return ["CPU", "GPU", *(["memory"] if need.get("memory") else []), *custom(need)]


def _amounts(of: Amounts, names: Iterable[str]) -> str:
    return " and ".join(
        f"{of.get(name, 0) / GIB:.1f} GiB of memory" if name == "memory" else f"{of.get(name, 0):g} {name}"
        for name in names
    )


def _have(able: Sequence[NodeResources], kind: str) -> str:
    return f"the only node{kind} has" if len(able) == 1 else f"the {len(able)} nodes{kind} have"


def _counted(words: Iterable[str]) -> str:
    counts = Counter(words)
    if len(counts) == 1 and counts.total() == 1:
        return next(iter(counts))
    return ", ".join(
        f"{word} ({count})" for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
