"""A sweep of a replay: the same study at several budgets and numbers of workers. Pure."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpo.game.run import Run
from hpo.replay.answers import Answers
from hpo.replay.game import Replay
from hpo.replay.sources import CurvesError
from hpo.text import plain

AXES = ("workers", "budget")


@dataclass(frozen=True)
class Point:
    """A method at one number of workers and one budget, over its seeds.

    mean, low, high: of the incumbents' values. reached: how many runs reach the target value; reached_at: the median
    virtual time at which they first do (None if half or more never do). time: mean virtual time to the end of a run.
    trials: mean number of trials.
    """

    method: str
    workers: int
    budget: float
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
    """The points of a sweep, the target value `good`, and which curves answered in all replays together."""

    points: Sequence[Point]
    metric: str
    good: float
    answers: Answers


def axes(texts: Sequence[str]) -> dict[str, list[int]]:
    """Parses `workers=1,4,16` and `budget=100,200` into lists. Raises CurvesError for anything else."""
    found: dict[str, list[int]] = {}
    for text in texts:
        match = re.fullmatch(rf"({'|'.join(AXES)})=(\d+(?:,\d+)*)", text)
        if match is None or any(int(part) < 1 for part in match[2].split(",")):
            raise CurvesError(f"--sweep must be workers=1,4,16 or budget=100,200, each number >= 1, but got {text!r}")
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
    """Returns for each run the virtual time of its first charge for a value at least as good; inf if there is none."""
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
        budget=runs[0].rules.unit.value(runs[0].rules.budget),
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
    """Returns the points as rows of plain JSON values; a value that is not finite becomes null."""
    return [plain(asdict(point)) for point in found.points]
