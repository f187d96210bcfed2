"""Whether slots are what Ray really runs: random clusters of real nodes, random requests, counted and tried out.

    python tests/bench/bench_slots.py [--quick] [--json FILE] [--shapes 200] [--seed 0]

A cluster has one to four nodes with random CPUs, GPUs, memory, custom resources, accelerator types and labels. A study
file's random `resources` is counted by `cluster.slots`; then as many placement groups as that and three more, made as
Tune makes them, are asked of Ray. In every third shape other work holds a part of the cluster before. The groups that
Ray creates within a minute are counted, and the bar is that every count agrees.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell

from cluster.living import living
from cluster.slots import Request, capacity
from hpo.live.tune.slots import Slots
from hpo.study.study import Resources

GIB = 2**30
PER_CLUSTER = 10  # requests
MOST = 40  # trials at once: more say nothing new, and cost a second each
EXTRA = 3
STARTS = 3
PATIENCE, QUIET = 60.0, 1.0  # seconds: for groups that must come, and to see that no other does
SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


def node(random: random.Random) -> dict[str, Any]:
    """Returns the options of a random node."""
    gpus = random.choice([0, 1, 1, 2, 2, 3, 4])
    resources = {"license": random.randint(1, 3)} if random.random() < 0.4 else {}
    if random.random() < 0.2:
        resources["TPU"] = random.randint(1, 4)
    if gpus:
        resources[f"accelerator_type:{random.choice(['H100', 'A100'])}"] = 1
    labels = {"region": random.choice(["us-1", "us-2", "eu-1"])} if random.random() < 0.7 else {}
    if random.random() < 0.3:
        labels["tier"] = "spot"
    return {"num_cpus": random.randint(0, 12), "num_gpus": gpus, "memory": random.randint(1, 9) * GIB,
            "resources": resources, "labels": labels}  # fmt: skip


def wanted(random: random.Random) -> Resources:
    """Returns a random section `resources` of a study file."""
    share = round(random.uniform(0.05, 1), random.choice([1, 2, 4]))
    gpus = random.choice([0, 1, 1 / 3, 0.5, 0.6, 0.25, share, share, share, share, 2, 3])
    given: dict[str, Any] = {
        "cpus": random.choice([0, 0.25, 0.5, 1, 1, 2, round(random.uniform(0.1, 4), 4)]),
        "gpus": gpus,
    }
    if random.random() < 0.3:
        given["memory_gb"] = round(random.uniform(0.1, 4), 2)
    if gpus and random.random() < 0.3:
        given["accelerator"] = random.choice(["H100", "A100"])
    if random.random() < 0.3:
        given["labels"] = random.choice(
            [{"region": "us-1"}, {"region": "!us-1"}, {"region": "in(us-1, us-2)"}, {"region": "!in(us-1, eu-1)"},
             {"tier": "spot"}, {"tier": "!spot", "region": "in(us-2,eu-1)"}]
        )  # fmt: skip
    if random.random() < 0.25:
        given["custom"] = random.choice([{"license": 1}, {"license": 0.4}, {"TPU": 0.6}, {"TPU": 2}])
    return Resources(**given)


def request(resources: Resources) -> Request:
    return Request(resources.bundles, resources.labels)


@contextmanager
def cluster(nodes: list[dict[str, Any]]) -> Iterator[None]:
    """Starts real nodes in a folder of their own, connects, and ends them."""
    import ray

    folder = tempfile.mkdtemp(prefix="hpo-slots-", dir="/tmp")
    started = begun(folder)
    try:
        for options in nodes:
            started.add_node(**options, **SMALL)
        ray.init(address=started.address, logging_level="ERROR", log_to_driver=False)
        yield
    finally:
        ray.shutdown()
        started.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def begun(folder: str) -> Any:
    """Returns a cluster with its head. Ray gives up where a busy machine takes half a minute for that: tries again."""
    from ray.cluster_utils import Cluster

    for left in range(STARTS, 0, -1):
        try:
            return Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder, **SMALL})
        except Exception:
            if left == 1:
                raise
    raise AssertionError


def created(groups: list[Any]) -> int:
    from ray.util import placement_group_table

    table = placement_group_table()
    return sum(table.get(group.id.hex(), {}).get("state") == "CREATED" for group in groups)


def ask(resources: Resources, count: int, expected: int) -> tuple[list[Any], int]:
    """Asks Ray for `count` trials. Returns their placement groups, and how many of them it creates."""
    make = Slots(resources, None).request()
    groups = [make.to_placement_group() for _ in range(count)]
    began = quiet = time.monotonic()
    last = -1
    while time.monotonic() - began < PATIENCE:
        found = created(groups)
        if found != last:
            last, quiet = found, time.monotonic()
        if found >= expected and time.monotonic() - quiet > QUIET:
            break
        time.sleep(0.05)
    return groups, last


def give_back(groups: list[Any]) -> None:
    """Removes the groups and waits until the nodes are as empty as before."""
    from ray.util import remove_placement_group

    for group in groups:
        remove_placement_group(group)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not all(
        (node.free or {}).get(name, 0) >= amount
        for node in living(free=True)
        for name, amount in node.total.items()
        if name != "object_store_memory"
    ):
        time.sleep(0.05)


def tried(random: random.Random, shared: bool) -> tuple[int, int, str]:
    """Counts one random request and tries it out. Returns both counts, and what was asked."""
    held: list[Any] = []
    said = ""
    while True:
        if shared and not held:
            other = wanted(random)
            fit = capacity(living(), request(other))
            if not 0 < fit <= MOST:
                continue
            some = random.randint(1, fit)
            held, took = ask(other, some, some)
            assert took == some, f"{other} took {took} of {some}"
            time.sleep(QUIET / 2)  # until the head knows
            said = f" beside {some} x [{other}]"
        mine = wanted(random)
        expected = capacity(living(free=shared), request(mine))
        if expected <= MOST:
            break
    groups, found = ask(mine, expected + EXTRA, expected)
    give_back([*groups, *held])
    return expected, found, f"[{mine}]{said}"


def main(quick: bool = False, shapes: int = 200, seed: int = 0) -> list[Row]:
    """Returns the bench's rows."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ.pop("RAY_ADDRESS", None)
    choice = random.Random(seed)
    shapes = 20 if quick else shapes
    agree: dict[bool, list[bool]] = {False: [], True: []}
    slots = 0
    while sum(map(len, agree.values())) < shapes:
        nodes = [node(choice) for _ in range(choice.randint(1, 4))]
        with cluster(nodes):
            for number in range(min(PER_CLUSTER, shapes - sum(map(len, agree.values())))):
                shared = number % 3 == 2
                expected, found, what = tried(choice, shared)
                agree[shared].append(expected == found)
                slots += found
                if expected != found:
                    print(f"counted {expected}, Ray runs {found}: {what} on {nodes}", file=sys.stderr, flush=True)
    return [
        row(
            "shapes whose slots are what Ray runs, an empty cluster",
            [sum(agree[False]) / len(agree[False])],
            "share",
            "1",
        ),
        row("the same beside other work", [sum(agree[True]) / max(1, len(agree[True]))], "share", "at least 1"),
        row("shapes", [shapes], "shapes"),
        row("trials that ran", [slots], "trials"),
    ]


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--shapes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tell(main(given.quick, given.shapes, given.seed), given.json)
