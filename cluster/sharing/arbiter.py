"""The actor that divides a cluster between studies. One for each cluster; the first driver starts it, the last ends it.

It keeps nothing: a driver's heartbeat holds all that there is to know of its study, and what studies hold it reads from
the cluster. It runs on the head, because a node with a process on it never counts as idle, and no autoscaler ends it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.sharing.shares import Claim, Plan, fair
from cluster.sharing.world import Seen, grows, holds, look, settled
from cluster.slots import Request

VERSION = 1  # of the messages: drivers of another version have another arbiter, and see these studies as other work
NAME, NAMESPACE = f"arbiter-{VERSION}", "hpo"
HEARTBEAT_SECONDS = 1.0
EXPIRY_SECONDS = 12.0  # a claim without heartbeats: the driver was killed
LOOK_SECONDS = 0.5  # how old what it knows of the nodes may be
LOOKS = 6  # that count: Ray takes up to two seconds to make a placement group
IDLE_SECONDS = 20.0  # without any claim, before it ends
MARK = b"hpo:requested"  # in the cluster's key-value store: the autoscaler has a request of ours

Message = Mapping[str, Any]
"""A claim as plain values: what any version can read. Unknown keys are ignored."""


class Arbiter:
    """Takes heartbeats and answers each with the study's share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[str, tuple[Message, float]] = {}
        self._looks: deque[tuple[Seen, ...]] = deque([()], maxlen=LOOKS)
        self._looked = self._claimed = time.monotonic() - LOOK_SECONDS
        self._inputs: object = None
        self._plan: Plan = {}
        self._demand = Demand()
        threading.Thread(target=self._watch, daemon=True).start()

    def heartbeat(self, message: Message) -> dict[str, Any]:
        """Notes a claim. Returns slots: how many the study may hold; nodes: where, if that matters; others: who else is here."""
        with self._lock:
            self._claims[message["id"]] = (message, time.monotonic())
            self._decide()
            mine = self._plan.get(message["id"], {})
            others = [self._summary(other) for other, _ in self._claims.values() if other["id"] != message["id"]]
            unlike = any(other["bundles"] != message["bundles"] for other, _ in self._claims.values())
            return {"slots": sum(mine.values()), "nodes": dict(mine) if unlike else None, "others": others}

    def leave(self, claim: str) -> None:
        """Forgets the claim of a study that is over."""
        with self._lock:
            self._claims.pop(claim, None)
            self._decide()

    def _summary(self, message: Message) -> dict[str, Any]:
        slots = sum(self._plan.get(message["id"], {}).values())
        return {name: message.get(name) for name in ("study", "owner", "weight")} | {"slots": slots}

    def _decide(self) -> None:
        """Looks at the nodes if that was long ago, and divides them anew if anything but the studies' slots has changed."""
        now = time.monotonic()
        self._claims = {name: (told, at) for name, (told, at) in self._claims.items() if now - at < EXPIRY_SECONDS}
        self._claimed = now if self._claims else self._claimed
        if now - self._looked >= LOOK_SECONDS:
            self._looks.append(look())
            self._looked = now
        jobs = sorted({told["job"] for told, _ in self._claims.values()})
        claims = [claim_of(told, holds(self._looks[-1], told["job"])) for told, _ in self._claims.values()]
        nodes = settled(tuple(self._looks), jobs)
        inputs = (nodes, [{**vars(claim), "holds": None} for claim in claims])
        if inputs != self._inputs:
            self._inputs, self._plan = inputs, fair(nodes, claims)

    def _watch(self) -> None:
        """Tells the autoscaler once a second what the studies could use, and ends the actor when none is left."""
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            try:
                with self._lock:
                    self._tend()
            except Exception:  # the head starts again, say: the next second may be better
                logging.getLogger(__name__).exception("the arbiter goes on after an error")

    def _tend(self) -> None:
        self._decide()
        told = [message for message, _ in self._claims.values()]
        self._demand.update(self._looks[-1], told)
        if not told and time.monotonic() - self._claimed > IDLE_SECONDS:
            _end()


class Demand:
    """What the autoscaler is asked for: room for all that the studies could use, beside what other work has."""

    def __init__(self) -> None:
        self._asked: list[tuple[dict[str, float], dict[str, str]]] | None = None

    def update(self, nodes: Sequence[Seen], told: Sequence[Message]) -> None:
        """Asks for more or less, or takes the request back; leaves a cluster alone that does not grow."""
        if not grows(nodes):
            return
        wanted = demanded(nodes, told)
        if self._asked is None and not wanted and not _marked():
            return
        if wanted != self._asked:
            _ask(wanted)
            self._asked = wanted


def demanded(nodes: Sequence[Seen], told: Sequence[Message]) -> list[tuple[dict[str, float], dict[str, str]]]:
    """Returns bundles with label selectors that the cluster as a whole must have room for; none where no study grows.

    The autoscaler compares them with the nodes' totals, so that they hold what studies and others have already.
    """
    if not any(message.get("grows") and claim_of(message, {}).limit for message in told):
        return []
    jobs = [message["job"] for message in told]
    bundles: list[tuple[dict[str, float], dict[str, str]]] = [
        (used, {}) for node in nodes if (used := node.others(jobs))
    ]
    for message in told:
        held = sum(holds(nodes, message["job"]).values())
        claim = claim_of(message, {})
        slots = max(held, claim.limit) if message.get("grows") else held
        bundles += [(dict(bundle), dict(claim.request.labels)) for bundle in claim.request.bundles] * slots
    return bundles


def claim_of(message: Message, held: Mapping[str, int]) -> Claim:
    """Returns a message's claim."""
    return Claim(
        id=message["id"],
        request=Request(tuple(message["bundles"]), message.get("labels") or {}),
        wants=message["wants"],
        weight=message.get("weight") or 1.0,
        least=message.get("least") or 0,
        most=message["most"],
        since=message.get("since") or 0.0,
        holds=held,
    )


def _ask(wanted: list[tuple[dict[str, float], dict[str, str]]]) -> None:
    from ray.autoscaler.sdk import request_resources
    from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_put

    request_resources(bundles=[bundle for bundle, _ in wanted], bundle_label_selectors=[labels for _, labels in wanted])
    if wanted:
        _internal_kv_put(MARK, b"1", overwrite=True)
    else:
        _internal_kv_del(MARK)


def _marked() -> bool:
    """Returns whether an arbiter before this one has left a request behind."""
    from ray.experimental.internal_kv import _internal_kv_get

    return _internal_kv_get(MARK) is not None


def _end() -> None:
    """Ends this actor for good: an actor that ended itself in any other way would be started again."""
    import ray

    ray.kill(ray.get_actor(NAME, NAMESPACE), no_restart=True)
