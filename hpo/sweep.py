"""Sweeps of a replay: the same study at other budgets and numbers of workers, as a table and a picture."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.recorded import CurvesError
from hpo.replay import Answers, Replay
from hpo.report.tables import Column, Table, number
from hpo.run import Run

AXES = ("workers", "budget")


@dataclass(frozen=True)
class Point:
    """A method at one number of workers and one budget, over its seeds: how good its incumbents are; how many of them
    reach a value that is `good`, and the median virtual time at which they first do (None where half never do); means of
    the virtual time to the end and of the number of trials."""

    method: str
    workers: int
    budget: int
    seeds: int
    mean: float
    low: float
    high: float
    reached: int
    reached_at: float | None
    time: float
    trials: float


@dataclass(frozen=True)
class Sweep:
    """The points, what was good enough, and where the answers of all replays came from."""

    points: Sequence[Point]
    metric: str
    good: float
    answers: Answers


def axes(texts: Sequence[str]) -> dict[str, list[int]]:
    """`workers=1,4,16` and `budget=100,200` as lists. Raises CurvesError for anything else."""
    found: dict[str, list[int]] = {}
    for text in texts:
        match = re.fullmatch(rf"({'|'.join(AXES)})=(\d+(?:,\d+)*)", text)
        if match is None or any(int(part) < 1 for part in match[2].split(",")):
            raise CurvesError(f"--sweep must be workers=1,4,16 or budget=100,200 with numbers from 1, but got {text!r}")
        found[match[1]] = [int(part) for part in match[2].split(",")]
    return found


def sweep(play: Callable[[int | None, int | None], Replay], grid: Mapping[str, Sequence[int]], good: float) -> Sweep:
    """Replays at every combination of the axes; `play` takes workers and budget, None for the study's own."""
    points: list[Point] = []
    answers, metric = None, ""
    for workers, budget in itertools.product(grid.get("workers", [None]), grid.get("budget", [None])):
        played = play(workers, budget)
        metric = played.study.metric
        answers = played.answers if answers is None else answers + played.answers
        points += _points(played, good)
    return Sweep(points, metric, good, answers or Answers())


def reached_at(played: Replay, good: float) -> dict[str, float]:
    """For each run: the virtual time at which it was first charged for a value at least as good; inf where never."""
    sign = 1.0 if played.study.mode == "max" else -1.0
    found = {str(run.key): math.inf for run in played.runs}
    for charge in played.charges:
        if sign * charge.value >= sign * good:
            run = str(charge.run)
            found[run] = min(found[run], charge.at)
    return found


def _points(played: Replay, good: float) -> list[Point]:
    reached = reached_at(played, good)
    by_method: dict[str, list[Run]] = {}
    for run in played.runs:
        by_method.setdefault(run.key.method, []).append(run)
    return [_point(method, runs, [reached[str(r.key)] for r in runs]) for method, runs in by_method.items()]


def _point(method: str, runs: Sequence[Run], reached: Sequence[float]) -> Point:
    values = [run.incumbent.value for run in runs if run.incumbent is not None] or [math.nan]
    median = float(np.median(reached)) if np.isfinite(reached).sum() * 2 > len(reached) else math.inf
    return Point(
        method=method,
        workers=runs[0].rules.parallelism,
        budget=runs[0].rules.budget,
        seeds=len(runs),
        mean=float(np.mean(values)),
        low=float(np.min(values)),
        high=float(np.max(values)),
        reached=int(np.isfinite(reached).sum()),
        reached_at=median if math.isfinite(median) else None,
        time=float(np.mean([run.now for run in runs])),
        trials=float(np.mean([len(run.trials) for run in runs])),
    )


def rows(found: Sweep) -> list[dict[str, Any]]:
    """The points as JSON-able rows; a value that is not finite is null."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(point).items()}
        for point in found.points
    ]


def table(found: Sweep) -> Table:
    """The points as a table, in any of the report's formats."""
    columns = (
        Column("method", "method", "text"), Column("workers", "workers", "count"), Column("budget", "budget", "count"),
        Column("seeds", "seeds", "count"), Column(f"mean {found.metric}", "mean"), Column("least", "low"),
        Column("most", "high"), Column(f"reached {number(found.good)}", "reached", "count"),
        Column("at", "reached_at", "rank"), Column("time", "time", "rank"), Column("trials", "trials", "count"),
    )  # fmt: skip
    rows = tuple(tuple(getattr(point, column.key) for column in columns) for point in found.points)
    note = (
        f"Reached: how many of the seeds found a {found.metric} as good as {number(found.good)}, and the median virtual "
        "time at which they did, where more than half of them did. Times are virtual, to the end of the budget in the mean."
    )
    return Table(f"{found.metric} by workers and budget", columns, rows, note=note)


# -- the picture --------------------------------------------------------------------------------------------------


def picture(found: Sweep, path: Path) -> None:
    """What changes along each axis that was swept, a line a method, at the largest of the other axis; the suffix
    chooses svg, png or pdf."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    metric = f"mean {found.metric}"
    panels = [("budget", "mean", metric), ("workers", "mean", metric), ("workers", "time", "virtual time")]
    panels = [panel for panel in panels if len({getattr(p, panel[0]) for p in found.points}) > 1] or panels[:1]
    figure, drawn = pyplot.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.6), layout="constrained")
    for place, (x, y, label) in zip(np.atleast_1d(drawn), panels, strict=True):
        _panel(place, found.points, x, y)
        place.set_ylabel(label)
    np.atleast_1d(drawn)[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def _panel(place: Any, points: Sequence[Point], x: str, y: str) -> None:
    """A line a method of `y` over `x`."""
    other, titles = ("workers", "{:,} workers") if x == "budget" else ("budget", "budget of {:,} epochs")
    at = max(getattr(point, other) for point in points)
    for method in dict.fromkeys(point.method for point in points):
        mine = [p for p in points if p.method == method and getattr(p, other) == _most(points, method, other)]
        place.plot([getattr(p, x) for p in mine], [getattr(p, y) for p in mine], marker="o", label=method)
    place.set(xscale="log", xlabel="budget, epochs" if x == "budget" else "virtual workers", title=titles.format(at))
    if y == "time":
        place.set_yscale("log")
    places = sorted({getattr(p, x) for p in points})
    place.set_xticks(places, [f"{value:,}" for value in places])
    place.xaxis.minorticks_off()


def _most(points: Sequence[Point], method: str, axis: str) -> int:
    """The largest number on the axis at which the method was played: one that names its own workers has only these."""
    return int(max(getattr(point, axis) for point in points if point.method == method))
