"""How long comparing a large store takes, and how much memory: 10 studies of 100,000 epoch rows, as tables in memory.

python tests/bench/bench_compare.py [ROWS]
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpo.compare import compare, compare_many
from hpo.importance import importance
from tests.simulated import large_study


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    """Seconds on the wall and of the processor since it was made: a shared machine stretches the one."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._wall:.2f} s ({time.process_time() - self._cpu:.2f} s of processor)"


def main(rows: int = 1_000_000) -> None:
    trials = rows // (10 * 50 * 20)
    studies = [large_study(f"study{i}", trials=trials, seed=i) for i in range(10)]
    print(
        f"{sum(data.epochs.num_rows for data in studies):,} epoch rows, as many charges; {megabytes():.0f} MB with the tables"
    )
    clock = Clock()
    for data in studies:
        compare(data).to_json()
    print(f"compare, one study after another: {clock}, peak {megabytes():.0f} MB")
    clock = Clock()
    found = compare_many(studies)
    found.to_json()
    print(f"compare_many: {clock}, peak {megabytes():.0f} MB; {found.verdict}")
    whole = large_study("one", methods=5, seeds=10, trials=10 * trials, seed=1)
    clock = Clock()
    compare(whole).to_json()
    print(f"the same rows in one study: {clock}, peak {megabytes():.0f} MB")
    del studies, whole
    small = large_study("small", trials=20)
    clock = Clock()
    importance(small, seed=0)
    print(f"importance of 1,000 trials: {clock}, peak {megabytes():.0f} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
