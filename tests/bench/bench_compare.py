"""Time and memory to compare a large store, read from its files: 10 studies of 100,000 epoch rows each.

    python tests/bench/bench_compare.py [--quick] [--json FILE]

Each measurement reads the store in a new process and reports that process's peak memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell

from tests.bench import large_store

CHILD = """
import json, resource, sys, time
from hpo import store
from hpo.results.compare import compare, compare_many
from hpo.results.importance import importance
what, uri = sys.argv[1:]
began = time.perf_counter()
if what == "one by one":
    for name in store.studies(uri):
        compare(store.read(uri, name)).to_json()
elif what == "as tasks":
    compare_many([store.read(uri, name) for name in store.studies(uri)]).to_json()
elif what == "verify":
    assert store.verify(uri) == []
else:
    importance(store.read(uri, store.studies(uri)[0]), seed=0)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - began, peak]))
"""


def measured(what: str, uri: str, times: int) -> tuple[list[float], list[float]]:
    """Returns the seconds after the imports, and the peak memory in megabytes."""
    found = []
    for _ in range(times):
        answer = subprocess.run(
            [sys.executable, "-c", CHILD, what, uri], cwd=Path(__file__).parents[2], check=True, capture_output=True
        )
        found.append(json.loads(answer.stdout))
    return [seconds for seconds, _ in found], [peak for _, peak in found]


def main(quick: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        total = sum(large_store.write(folder, f"s{i}", trials=2 if quick else 100, seed=i) for i in range(10))
        size = f"a store of {total:,} epoch rows, 10 studies"
        for what, bar in (("one by one", True), ("as tasks", True), ("verify", False), ("importance of one", False)):
            seconds, peaks = measured(what, folder, 1 if quick else 3)
            found.append(row(f"{size}: {what}", seconds, "s", "< 5 s" if bar else ""))
            found.append(row(f"{size}: {what}, peak memory", peaks, "MB", "< 1,000 MB" if bar else ""))
    return found


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
