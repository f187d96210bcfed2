"""How studies share one cluster's slots: `python tests/bench/bench_sharing.py [--quick] [--json FILE]`.

Real studies on a real cluster of this machine, with epochs that sleep and slots that take a hundredth of a CPU, so that two
cores suffice. Shares are those of the epochs that were trained while all studies of a scene were at work, from 20 seconds
after the last of them began. A study alone is measured on the same cluster.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from faulty_cluster import FaultyCluster, faulty_cluster
from ray_nodes import ROOT, Child
from rows import Row, command, row, tell

from hpo.store import read

STUDY = """
study: {name}
trainable: curves
data: {{seconds: {seconds}}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
budget: {{epochs: {epochs}, max_epochs: 4}}
methods: [random]
parallelism: 32
resources: {{custom: {{slot: 1}}, cpus: 0}}
"""
SECONDS = 0.5  # of an epoch
SETTLED = 20.0
SLOTS = 8


def begin(cluster: FaultyCluster, name: str, epochs: int, priority: float = 1) -> Child:
    """Starts a study of so many epochs."""
    study = cluster.folder / f"{name}.yaml"
    study.write_text(STUDY.format(name=name, epochs=epochs, seconds=SECONDS))
    words = [sys.executable, "-m", "hpo.cli", "run", study, "--store", cluster.folder / name, "--no-report", "--quiet",
             "--address", cluster.address, "--priority", priority]  # fmt: skip
    return cluster.child(words, cluster.folder / f"{name}.log", ROOT)


def times(cluster: FaultyCluster, name: str) -> list[float]:
    """Returns when each epoch ended; empty before the first is in the store."""
    with contextlib.suppress(Exception):
        return sorted(
            row["finished"] for row in read(str(cluster.folder / name)).epochs.select(["finished"]).to_pylist()
        )
    return []


def alone(cluster: FaultyCluster, name: str, epochs: int) -> float:
    """Returns the seconds that a study takes, from its command to its end."""
    began = time.monotonic()
    child = begin(cluster, name, epochs)
    if child.wait(600):
        raise RuntimeError(child.text[-2000:])
    return time.monotonic() - began


def shares(cluster: FaultyCluster, weights: Sequence[float], seconds: float) -> list[float]:
    """Returns the shares of studies with these priorities, over so many seconds from SETTLED on."""
    names = [f"of-{len(weights)}-{number}" for number in range(len(weights))]
    studies = [begin(cluster, name, 100_000, weight) for name, weight in zip(names, weights, strict=True)]
    try:
        while not all(times(cluster, name) for name in names):
            time.sleep(1)
            for study in studies:
                if study.process.poll() is not None:
                    raise RuntimeError(study.text[-2000:])
        since = max(times(cluster, name)[0] for name in names) + SETTLED
        until = since + seconds
        time.sleep(max(0, until + 2 - time.time()))
        for study in studies:
            study.process.terminate()
        for study in studies:
            study.wait(120)
        counts = [sum(since <= at < until for at in times(cluster, name)) for name in names]
    finally:
        for study in studies:
            study.close()
    return [count / sum(counts) for count in counts]


@contextlib.contextmanager
def slots(count: int) -> Iterator[FaultyCluster]:
    """Starts a cluster whose one node has so many slots."""
    short = tempfile.TemporaryDirectory(prefix="hs-", dir="/tmp", ignore_cleanup_errors=True)
    with short as folder, faulty_cluster(Path(folder), []) as cluster:
        cluster.add(count, "--resources", f'{{"slot": {count}}}')
        yield cluster


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows; with `quick`, shares over 20 seconds in place of 60, and a smaller small study."""
    seconds, small = (20.0, 96) if quick else (60.0, 240)
    rows = []
    with slots(SLOTS) as cluster:
        first, second = shares(cluster, [1, 1], seconds)
        for name, share in (("first", first), ("second", second)):
            rows.append(row(f"two equal studies, {SLOTS} slots: share of the {name}", [share], "ratio", "0.4 to 0.6"))
        weights = [1.0, 1.0, 2.0, 4.0]
        found = shares(cluster, weights, seconds)
        off = [100 * abs(share - weight / sum(weights)) for share, weight in zip(found, weights, strict=True)]
        rows.append(
            row(f"priorities 1, 1, 2, 4 on {SLOTS} slots: farthest from its share", [max(off)], "points", "<= 10")
        )
        once = alone(cluster, "small-alone", small)
        big = begin(cluster, "big", 100_000)
        try:
            while not times(cluster, "big"):
                time.sleep(1)
            beside = alone(cluster, "small-beside", small)
        finally:
            big.close()
        rows.append(row("a small study beside a big one / alone", [beside / once], "ratio", "<= 2.2"))
        rows.append(row("a small study alone", [once], "s"))
    return rows


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
