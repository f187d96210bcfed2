"""What predicts unrecorded configurations best: `python tests/bench/bench_between.py [--write]`.

On TaskSet's 12 tasks of 1,000 recorded configurations, measures the rank correlation of the value after the last epoch with
that of the nearest other configuration, and with the prediction of the surrogate's trees that have not seen the
configuration. `--write` puts the table into docs/reference/replay.md.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import CURVES, ROOT, Row, command, markdown, row, tell, write

from hpo.replay.curve_forest import CurveForest
from hpo.replay.sources import load
from hpo.study.study import Study


def correlations(task: str) -> tuple[float, float]:
    """Returns the rank correlations of the nearest other configuration and of the surrogate."""
    study = Study.load(ROOT / "hpo" / "replay" / "recorded" / "taskset.yaml")
    table = load(str(CURVES), study.space, study.metric, task)
    whole = np.flatnonzero(table.known == table.epochs)
    features = np.array([study.space.features(table.configs[i]) for i in whole])
    values = table.values[whole]
    other = cKDTree(features).query(features, k=2)[1][:, 1]
    nearest = float(spearmanr(values[:, -1], values[other, -1]).statistic)
    return nearest, CurveForest(features, values).correlation


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    if not CURVES.exists():
        print(f"The predictions are not measured: there are no recorded curves at {CURVES}.")
        return []
    tasks = [str(name) for name in np.load(CURVES)["tasks"]][: 3 if quick else 12]
    nearest, surrogate = zip(*map(correlations, tasks), strict=True)
    found = {"nearest": nearest, "surrogate": surrogate}
    if put:
        body = [
            [name, f"{statistics.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}"]
            for name, values in found.items()
        ]
        head = ("between", "rank correlation, median of 12 tasks", "least to most")
        write(ROOT / "docs" / "reference" / "replay.md", "table of what answers between", markdown(head, body))
    return [row(f"unseen configurations: {name}", values, "rank corr.") for name, values in found.items()]


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
