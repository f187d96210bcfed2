"""Ray Tune's results, read without Ray: an experiment's folder, which holds one folder per trial.

A trial's `result.json` has one line per report; if it is missing, `progress.csv` has the same as a table. `params.json`
is the configuration; a nested value is named by the last part of its path, or by the whole path joined by "/" if the
last part is ambiguous. `training_iteration` is the epoch. A trial with an `error.txt` that never reported `done` failed
where its curve ends; other curves just end. Of several trials with one configuration the longest counts; of equally
long ones the first.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.replay.sources.layouts import in_order
from hpo.replay.sources.table import CurvesError, Raw, matrix

RESULT, TABLE, CONFIG, ERROR = "result.json", "progress.csv", "params.json", "error.txt"


def is_experiment(path: Path) -> bool:
    """Reports whether a folder holds trials of Ray Tune: configurations, and beside one of them what came of it."""
    return path.is_dir() and any((trial / name).exists() for trial in _trials(path) for name in (RESULT, TABLE, ERROR))


def _trials(path: Path) -> Iterator[Path]:
    for folder in sorted(path.iterdir()):
        if folder.is_dir() and (folder / CONFIG).exists():
            yield folder


def read(path: Path, metric: str) -> Raw:
    """Reads the curves of an experiment's trials."""
    configs, curves, seconds, failed = [], [], [], []
    for folder in _trials(path):
        reports = _reports(folder)
        points, times = _points(reports, metric, folder.name)
        configs.append(_flat(json.loads((folder / CONFIG).read_text())))
        curves.append(in_order(points, f"{path.name} must report every iteration", configs[-1]))
        seconds.append(float(np.mean(times)) if times else 1.0)
        failed.append(_broke_off(folder, reports) or not np.isfinite(curves[-1]).all())
    names = list(dict.fromkeys(name for config in configs for name in config))
    ends = [name.rpartition("/")[2] for name in names]
    begun = [i for i, curve in enumerate(curves) if curve or failed[i]]
    return Raw(
        [end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)],
        [[configs[i].get(name) for name in names] for i in begun],
        matrix([curves[i] for i in begun]),
        np.array([seconds[i] for i in begun]),
        np.array([failed[i] for i in begun], dtype=bool),
        trials=True,
    )


def _broke_off(folder: Path, reports: Sequence[Mapping[str, Any]]) -> bool:
    """Reports whether the trial failed for good: one that was restored keeps its `error.txt`, but reports `done`."""
    return (folder / ERROR).exists() and not (reports and str(reports[-1].get("done")) == "True")


def _reports(folder: Path) -> list[Mapping[str, Any]]:
    """Returns a trial's reports in order; nested names are joined by "/"."""
    whole, rows = folder / RESULT, folder / TABLE
    if whole.exists() and whole.stat().st_size:
        found: list[Mapping[str, Any]] = []
        for line in whole.read_text().splitlines():
            try:
                found.append(_flat(json.loads(line)))
            except ValueError:
                break  # the torn last line of a process that was killed
        return found
    if rows.exists():
        with rows.open(newline="") as file:
            return list(csv.DictReader(file))
    return []


def _points(reports: list[Mapping[str, Any]], metric: str, trial: str) -> tuple[dict[int, float], list[float]]:
    """Returns the value of each iteration, the first if a restored trial repeated it, and the reports' seconds."""
    points: dict[int, float] = {}
    times = []
    for report in reports:
        if metric not in report:
            known = ", ".join(sorted(name for name, value in report.items() if isinstance(value, float)))
            raise CurvesError(f"trial {trial} must report the study's metric {metric!r}, but reports {known}")
        value = report[metric]
        points.setdefault(int(report["training_iteration"]), math.nan if value in (None, "") else float(value))
        times.append(float(report.get("time_this_iter_s") or 1.0))
    return points, times


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}/")
        else:
            found[prefix + name] = value
    return found
