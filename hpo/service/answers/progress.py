"""Anytime curves: a method's mean and band over its runs, and every run's steps, over epochs, cost or seconds. Pure."""

from __future__ import annotations

from typing import Any, Literal

from hpo.results import anytime
from hpo.results.anytime import Corners, Played
from hpo.results.bounds import metric_bounds
from hpo.service.answers.runs import planned, played, unit
from hpo.service.problems import Problem
from hpo.store import StudyData

Over = Literal["epochs", "cost", "seconds"]


def anytime_curves(data: StudyData, over: Over) -> dict[str, Any]:
    """Returns the curves of every run and of every method. Raises Problem 409 where nothing tells what epochs cost."""
    runs = played(data, data.epochs if over == "seconds" else None)
    curves = {run: _curve(data, mine, over) for run, mine in runs.items()}
    found = [(f"{method}/{seed}", method, seed) for method, seed in planned(data)]
    steps = [
        {"run": run, "method": method, "seed": seed, "steps": curves[run]}
        for run, method, seed in found
        if curves.get(run)
    ]
    bounds = metric_bounds(data.definition, [curve[-1][1] for curve in curves.values() if curve])
    methods = []
    for label in dict.fromkeys(method for _, method, _ in found):
        mine = [curves[run] for run, method, _ in found if method == label and curves.get(run)]
        if (band := anytime.mean_band(mine, bounds)) is not None:
            parts = dict(zip(("x", "mean", "low", "high"), (part.tolist() for part in band), strict=True))
            methods.append({"method": label, **parts, "runs": len(mine), "value": parts["mean"][-1]})
    definition = data.definition
    return {
        "study": data.name, "metric": definition["metric"], "mode": definition["mode"], "over": over, "unit": unit(data),
        "budget": definition["budget"].get(over), "methods": methods, "runs": steps,
    }  # fmt: skip


def _curve(data: StudyData, run: Played, over: Over) -> Corners:
    if over == "seconds":
        workers = int(data.definition.get("parallelism") or 1)
        return anytime.over_time(
            run, anytime.ends_alone(run.trial, run.seconds, workers, run.after), data.definition["mode"]
        )
    if over == "cost":
        if run.paid is None:
            raise Problem(
                409, f"curves over cost need a trainable that declares what epochs cost, but {data.name}'s does not"
            )
        return anytime.corners(run.paid, run.best)
    return anytime.corners(run.charged, run.best)
