"""Checks every node before a study starts: whether it can train, and whether all see the same data and store."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Sequence
from typing import Any

from cluster import probe
from cluster.connect import Connection
from cluster.errors import one_line
from cluster.living import living
from cluster.needs import Needs, Node, PreflightError, Report
from cluster.shortage import shortage
from cluster.slots import NodeResources

__all__ = ["Needs", "PreflightError", "Report", "installed", "preflight"]

SILENT = "did not answer"
PATIENCE_SECONDS = 60.0  # a cold node starts a worker process first
ROUNDS, PAUSE_SECONDS = 3, 3.0  # a leaving node fails before the cluster knows that it has left


def installed(names: Sequence[str]) -> dict[str, str]:
    """Returns the driver's versions of those packages that are installed here: what every node must have."""
    return {name: version for name, version in probe.versions(names).items() if version is not None}


def preflight(
    connection: Connection, needs: Needs, *, elastic: bool = False, patience: float = PATIENCE_SECONDS
) -> Report:
    """Asks every living node and reports. A cluster that this process started is this machine, and needs no worker.

    Writes one small file to the store and deletes it again. Takes no CPU from the cluster, so that a busy one answers
    too. A node that does not answer within `patience` seconds is reported as silent.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    mark = f".preflight-{secrets.token_hex(8)}"
    wrote = _write_mark(needs.store, mark)
    try:
        if connection.local:
            answers: dict[str, Any] = {here: (_look(probe.Probe(), needs, mark), 0.0)}
        else:
            answers = _ask_all(needs, mark, patience)
    finally:
        if needs.store is not None and wrote is None:
            probe.remove(needs.store, mark)
    asked = [node for node in living(free=True) if node.id in answers]  # not those that joined since
    nodes = tuple(_node(node, answers[node.id], here, wrote, patience) for node in asked)
    return Report(needs, nodes, elastic)


def check_room(needs: Needs) -> None:
    """Raises PreflightError if the living nodes have no room for a trial; asks the nodes nothing."""
    if reason := shortage(living(), needs.request):
        raise PreflightError(reason)


def _ask_all(needs: Needs, mark: str, patience: float) -> dict[str, Any]:
    """As `_ask`, but asks failed nodes again as long as the cluster has them."""
    answers: dict[str, Any] = {}
    for number in range(ROUNDS):
        asked = [node.id for node in living() if not isinstance(answers.get(node.id), tuple)]
        if not asked or (number and all(answers.get(node, SILENT) == SILENT for node in asked)):
            break  # silent nodes have had their time
        time.sleep(PAUSE_SECONDS if number else 0.0)
        asked = [node.id for node in living() if node.id in asked]
        answers |= dict.fromkeys(asked, SILENT) | _ask(asked, needs, mark, patience)
    return answers


def _write_mark(store: str | None, mark: str) -> str | None:
    """Returns why the driver itself cannot write to the store, or None if it can."""
    if store is None:
        return None
    try:
        probe.write(store, mark)
    except Exception as error:
        return one_line(error)
    return None


def _look(actor: probe.Probe, needs: Needs, mark: str) -> dict[str, Any]:
    return actor.look(tuple(needs.packages), needs.data_root, needs.store, mark)


def _ask(ids: Sequence[str], needs: Needs, mark: str, patience: float) -> dict[str, Any]:
    """Asks all nodes at once. Returns node id -> (answer, clock skew in seconds), or why there is no answer."""
    import ray
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cloudpickle.register_pickle_by_value(probe)  # a node without this project can answer too
    try:
        remote = ray.remote(num_cpus=0, max_restarts=0)(probe.Probe)
        actors = {
            node: remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
            for node in ids
        }
        looks = {
            actor.look.remote(tuple(needs.packages), needs.data_root, needs.store, mark): node
            for node, actor in actors.items()
        }
        ready, _ = ray.wait(list(looks), num_returns=len(looks), timeout=patience)
        answers = {looks[ref]: _answer(ref, actors[looks[ref]]) for ref in ready}
        for actor in actors.values():
            ray.kill(actor)
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
    return answers


def _answer(ref: Any, actor: Any) -> Any:
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(ref), _skew(actor)
    except RayError as error:
        return one_line(error)


def _skew(actor: Any) -> float:
    """Returns the node's clock minus ours in seconds: the quickest of five questions errs by at most half its time."""
    import ray

    best = (float("inf"), 0.0)
    for _ in range(5):
        before = time.time()
        there = ray.get(actor.now.remote(), timeout=10)
        after = time.time()
        best = min(best, (after - before, there - (before + after) / 2))
    return best[1]


def _node(node: NodeResources, answer: Any, here: str, wrote: str | None, patience: float) -> Node:
    told, skew = answer if isinstance(answer, tuple) else (None, 0.0)
    if told is not None and wrote is not None:
        told = {**told, "store": wrote if node.id == here else None}  # reported once, for the driver's node
    silence = f"gave no answer within {patience:.0f} s" if answer == SILENT else f"failed: {answer}"
    return Node(node.name, node, told, silence, skew, driver=node.id == here)


def this_python() -> str:
    """Returns the driver's Python as MAJOR.MINOR, which all of Ray's processes must share."""
    return ".".join(platform.python_version_tuple()[:2])
