"""Faults by the hundred: `make soak`, or `python tests/faults/soak.py [--studies 20] [--faults 200] [--seed 0] [--first N]`.

Study k has ten faults (faults / studies) drawn by seed and k; where one ends before the last of them, further studies
make up for it. All run on a cluster of real Ray nodes; every other one keeps its results on a small disk that becomes
full, the others on an S3 server that is away for a minute. Beside two of four another study shares the cluster, and
suffers what is done to it. After each the comparison and the ledger, of both, must be those of the same study undisturbed;
no process and no checkpoint may be left.
A summary is printed, and with --json written; the exit code is 1 where a study did not pass.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from shutil import rmtree

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fault_injector import PATIENCE, STUDY, Ordeal, Store, Undisturbed, afterwards, undisturbed, wasted  # noqa: E402
from fault_places import Bucket, Folder, disk, s3  # noqa: E402
from faulty_cluster import FaultyCluster, faulty_cluster  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402

CPUS = (1, 2)  # two nodes that differ
KINDS = {"worker_killed": 8, "worker_stopped": 2, "node_killed": 3, "driver_killed": 3, "driver_asked": 2}
"""How often each comes in twenty faults; with a store that is hurt and a head that is killed every other study."""
DIFFERENT = 4  # studies that differ: each is run once undisturbed


@dataclass
class Row:
    study: int
    place: str
    passed: bool
    seconds: float
    drivers: int
    wasted: int
    two: bool = False  # whether another study shared the cluster
    faults: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    why: str = ""


def write(path: Path, k: int) -> Path:
    """The k-th study's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUDY.format(seconds=0.3, epochs=48, most=8, seeds=[k % 2], landscape=k % DIFFERENT))
    return path


def drawn(rng: np.random.Generator, count: int, k: int) -> list[str]:
    """The faults of a study in their order: the store is hurt once, the head killed in every other one."""
    fixed = ["store_hurt", *(["head_killed"] if k % 4 in (0, 3) else [])]
    names, weights = list(KINDS), np.array(list(KINDS.values()), float)
    faults = [*fixed, *(str(n) for n in rng.choice(names, count - len(fixed), p=weights / weights.sum()))]
    return [str(name) for name in rng.permutation(faults)]


@contextlib.contextmanager
def place(folder: Path, k: int, proxy: FaultyProxy) -> Iterator[Store]:
    """Where the k-th study keeps its results."""
    if k % 2:
        with disk(folder) as found:
            yield found
    else:
        yield Bucket(f"s3://faults/store{k}", proxy)


@contextlib.contextmanager
def neighbour(cluster: FaultyCluster, folder: Path, k: int, whole: Callable[[int], Undisturbed]) -> Iterator[None]:
    """The study after the k-th, on the same cluster during the block, after which it must have come to its own end."""
    expected = whole(k + 1)
    study = write(folder.with_suffix(".beside") / "study.yaml", k + 1)
    store = Folder(str(study.parent / "store"))
    other = Ordeal(cluster, study, store, np.random.default_rng([k]), excused=True)
    with ThreadPoolExecutor(1) as threads:
        played = threads.submit(other.play, [], 6 * PATIENCE)
        yield
        played.result()
    afterwards(other, expected)


def suffer(
    cluster: FaultyCluster, proxy: FaultyProxy, folder: Path, k: int, seed: int, count: int,
    whole: Callable[[int], Undisturbed],
) -> Row:  # fmt: skip
    """One study under fire, beside two of four another one. `whole`: what the k-th comes to undisturbed."""
    rng = np.random.default_rng([seed, k])
    expected, two = whole(k), k % 4 in (1, 2)
    with place(folder, k, proxy) as store:
        ordeal = Ordeal(cluster, write(folder.with_suffix(".run") / "study.yaml", k), store, rng)
        ordeal.away_seconds = 20.0 if k % 2 else 60.0
        row, began = Row(k, store.fault(), False, 0.0, 0, 0, two), time.monotonic()
        try:
            with neighbour(cluster, folder, k, whole) if two else contextlib.nullcontext():
                ordeal.play(drawn(rng, count, k))
            afterwards(ordeal, expected)
            row.passed = True
        except Exception as error:
            row.why = f"{type(error).__name__}: {error}"
        with contextlib.suppress(Exception):
            row.wasted = wasted(store.uri)
        row.seconds, row.drivers = time.monotonic() - began, ordeal.drivers
        row.faults, row.ends = dict(ordeal.done), dict(ordeal.ends)
        if "store_hurt" in row.faults:
            row.faults[store.fault().replace(" ", "_")] = row.faults.pop("store_hurt")
    return row


def suffered(rows: list[Row]) -> Counter[str]:
    """The faults of all studies by kind."""
    return sum((Counter(row.faults) for row in rows), Counter())


def summary(rows: list[Row]) -> str:
    total = suffered(rows)
    lines = [f"{row.study:3} {row.place:<11} {'passed' if row.passed else 'FAILED'} {row.seconds:6.0f} s "
             f"{sum(row.faults.values()):3} faults {row.drivers:3} drivers {row.wasted:4} epochs trained again"
             f"{', beside another' if row.two else ''} {row.why[:200]}"
             for row in rows]  # fmt: skip
    passed = sum(row.passed for row in rows)
    kinds = ", ".join(f"{name} {n}" for name, n in total.most_common())
    return "\n".join([*lines, f"{passed} of {len(rows)} studies passed, {total.total()} faults: {kinds}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20, help="at least so many")
    parser.add_argument("--faults", type=int, default=200, help="of all studies together, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first study's number: for a part of them")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing is left behind then either
    count = -(-given.faults // given.studies)
    folder = Path(tempfile.mkdtemp(prefix="hpo-soak-", dir="/tmp"))
    rows: list[Row] = []

    @cache
    def undisturbed_one(landscape: int) -> Undisturbed:
        alone = folder / f"whole{landscape}"
        return undisturbed(write(alone / "study.yaml", landscape), alone / "store", workers=3)

    def whole(k: int) -> Undisturbed:
        return undisturbed_one(k % DIFFERENT)

    try:
        with s3(folder / "s3") as (proxy, variables), faulty_cluster(folder / "c", CPUS, variables) as cluster:
            for k in range(given.first, given.first + 2 * given.studies):
                if len(rows) >= given.studies and suffered(rows).total() >= given.faults:
                    break
                rows.append(suffer(cluster, proxy, folder / f"study{k}", k, given.seed, count, whole))
                print(summary(rows[-1:]).splitlines()[0], flush=True)
                print(json.dumps([rows[-1].faults, rows[-1].ends]), file=sys.stderr, flush=True)
                if not rows[-1].passed:
                    print(rows[-1].why, file=sys.stderr, flush=True)
    finally:
        print(summary(rows))
        if given.json:
            given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if all(row.passed for row in rows):
        rmtree(folder, ignore_errors=True)
        return 0
    print(f"what the drivers said is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
