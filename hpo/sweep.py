"""Sweeps of a replay: the same study at other budgets and numbers of workers, as a table and a picture."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.recorded import CurvesError
from hpo.replay import Replay

AXES = ("workers", "budget")


@dataclass(frozen=True)
class Point:
    """A method at one number of workers and one budget, over its seeds: means, and the virtual time to the end and
    to 99 percent of the way from the first value to the best."""

    method: str
    workers: int
    budget: int
    seeds: int
    mean: float
    low: float
    high: float
    ticks: float
    trials: float


def axes(texts: Sequence[str]) -> dict[str, list[int]]:
    """`workers=1,4,16` and `budget=100,200` as lists. Raises CurvesError for anything else."""
    found: dict[str, list[int]] = {}
    for text in texts:
        match = re.fullmatch(rf"({'|'.join(AXES)})=(\d+(?:,\d+)*)", text)
        if match is None or "0" in match[2].split(","):
            raise CurvesError(f"--sweep must be workers=1,4,16 or budget=100,200 with numbers from 1, but got {text!r}")
        found[match[1]] = [int(part) for part in match[2].split(",")]
    return found


def sweep(play: Callable[[int | None, int | None], Replay], grid: Mapping[str, Sequence[int]]) -> list[Point]:
    """Replays at every combination of the axes; `play` takes workers and budget, None for the study's own."""
    points = []
    for workers, budget in itertools.product(grid.get("workers", [None]), grid.get("budget", [None])):
        points += _points(play(workers, budget))
    return points


def _points(played: Replay) -> list[Point]:
    points = []
    for method in dict.fromkeys(run.key.method for run in played.runs):
        runs = [run for run in played.runs if run.key.method == method]
        values = [run.incumbent.value for run in runs if run.incumbent is not None]
        rules = runs[0].rules
        points.append(
            Point(
                method=method,
                workers=rules.parallelism,
                budget=rules.budget,
                seeds=len(runs),
                mean=float(np.mean(values)) if values else float("nan"),
                low=float(np.min(values)) if values else float("nan"),
                high=float(np.max(values)) if values else float("nan"),
                ticks=float(np.mean([run.now for run in runs])),
                trials=float(np.mean([len(run.trials) for run in runs])),
            )
        )
    return points


def rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The points as JSON-able rows."""
    return [asdict(point) for point in points]


def text(points: Sequence[Point], metric: str) -> str:
    """The points as a plain table."""
    head = ("method", "workers", "budget", "seeds", f"mean {metric}", "least", "most", "virtual time", "trials")
    body = [
        (p.method, str(p.workers), str(p.budget), str(p.seeds), f"{p.mean:.4f}", f"{p.low:.4f}", f"{p.high:.4f}",
         f"{p.ticks:.1f}", f"{p.trials:.1f}")
        for p in points
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *body]
    ]
    return "\n".join(lines)


def picture(points: Sequence[Point], metric: str, path: Path) -> None:
    """Value over budget and virtual time over workers, a line a method; the suffix chooses svg, png or pdf."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for method in dict.fromkeys(p.method for p in points):
        mine = [p for p in points if p.method == method]
        _line(left, [(p.budget, p.mean) for p in mine], method)
        _line(right, [(p.workers, p.ticks) for p in mine], method)
    left.set(xlabel="budget, epochs", ylabel=f"mean {metric}", xscale="log")
    right.set(xlabel="virtual workers", ylabel="virtual time", xscale="log", yscale="log")
    left.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def _line(axes: Any, pairs: Sequence[tuple[float, float]], label: str) -> None:
    """The mean of the values at each place."""
    places = sorted({x for x, _ in pairs})
    axes.plot(places, [np.mean([y for x, y in pairs if x == place]) for place in places], marker="o", label=label)
