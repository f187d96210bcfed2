"""A growing store: appends up to a million rows, and DuckDB's filter over ten million rows.

    python tests/bench/bench_store.py [--quick] [--json FILE]

Appends are complete: handed over (safe on disk when the call returns), then delivered as Parquet.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, command, row, tell
from stores import epoch, open_writer

from tests.bench import large_store

WINDOWS = 20


def appends(count: int) -> list[Row]:
    """Appends `count` rows in 20 windows; returns microseconds per row to hand over, and to hand over and deliver."""
    handed, delivered = [], []
    size = count // WINDOWS
    with tempfile.TemporaryDirectory() as folder:
        writer = open_writer(folder)
        for window in range(WINDOWS):
            began = time.perf_counter()
            for number in range(window * size, (window + 1) * size):
                epoch(writer, number // 20, 1 + number % 20)
            middle = time.perf_counter()
            writer.flush()
            end = time.perf_counter()
            handed.append((middle - began) / size * 1e6)
            delivered.append((end - began) / size * 1e6)
        began = time.perf_counter()
        writer.close(compact=True)
        whole = time.perf_counter() - began
    first, last = slice(0, WINDOWS // 4), slice(-WINDOWS // 4, None)
    ratios = [median(times[last]) / median(times[first]) for times in (handed, delivered)]
    return [
        row(
            f"hand over, last quarter of {count:,} rows / first quarter",
            ratios[:1],
            "ratio",
            "at most 1.1: appends do not slow down",
        ),
        row(
            f"hand over and deliver, last quarter of {count:,} rows / first quarter", ratios[1:], "ratio", "at most 1.1"
        ),
        row("hand over a row", handed, "us", ""),
        row("hand over a row and deliver it", delivered, "us", ""),
        row(f"compaction of {count:,} rows at the end", [whole], "s", ""),
    ]


def query(count: int, times: int) -> list[Row]:
    """Times a DuckDB query over ten studies' files, with a filter on two columns and a grouping."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        total = sum(large_store.write(folder, f"s{i}", trials=count // 10_000, seed=i) for i in range(10))
        text = (
            "select study, config_layers, count(*), max(val_accuracy) "
            f"from read_parquet('{folder}/*/epochs/*.parquet', union_by_name = true) "
            "where epoch = 20 and config_learning_rate < 0.001 group by 1, 2"
        )
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            found = duckdb.connect().sql(text).fetchall()
            seconds.append(time.perf_counter() - began)
        assert len(found) == 30
        assert 0 < sum(line[2] for line in found) < total / 20
    return [row(f"DuckDB, {total:,} rows with a filter", seconds, "s", "< 2 s")]


def main(quick: bool = False) -> list[Row]:
    """Returns the bench's rows."""
    return appends(20_000 if quick else 1_000_000) + query(*((200_000, 2) if quick else (10_000_000, 5)))


if __name__ == "__main__":
    given = command(__doc__).parse_args()
    tell(main(given.quick), given.json)
