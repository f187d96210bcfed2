"""A sweep of a replay as a table and as a picture. Writes only the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.replay.sweep import Point, Sweep
from hpo.report import canvas
from hpo.report.tables import Column, Table, number


def table(found: Sweep) -> Table:
    """Returns the sweep's points as a table."""
    columns = (
        Column("method", "method", "text"), Column("workers", "workers", "count"), Column("budget", "budget", "count"),
        Column("seeds", "seeds", "count"), Column(f"mean {found.metric}", "mean"), Column("least", "low"),
        Column("most", "high"), Column(f"reached {number(found.good)}", "reached", "count"),
        Column("at", "reached_at", "rank"), Column("time", "time", "rank"), Column("trials", "trials", "count"),
    )  # fmt: skip
    rows = tuple(tuple(getattr(point, column.key) for column in columns) for point in found.points)
    note = (
        f"Reached: the number of seeds that found a {found.metric} as good as {number(found.good)}; at: the median virtual "
        "time at which they did, if more than half of them did. Time: the mean virtual time to the end of the budget."
    )
    return Table(f"{found.metric} by workers and budget", columns, rows, note=note)


def picture(found: Sweep, path: Path) -> None:
    """Writes a picture with a panel for each swept axis, one line a method, at the largest value of the other axis.

    The path's suffix chooses svg, png or pdf. The file appears whole or not at all.
    """
    from matplotlib.figure import Figure

    metric = f"mean {found.metric}"
    panels = [("budget", "mean", metric), ("workers", "mean", metric), ("workers", "time", "virtual time")]
    panels = [panel for panel in panels if len({getattr(p, panel[0]) for p in found.points}) > 1] or panels[:1]
    figure = Figure(figsize=(4.5 * len(panels), 3.6), layout="constrained")
    drawn = figure.subplots(1, len(panels), squeeze=False)[0]
    for place, (x, y, label) in zip(drawn, panels, strict=True):
        _panel(place, found.points, x, y)
        place.set_ylabel(label)
    drawn[0].legend(frameon=False)
    canvas.save(figure, path)


def _panel(place: Any, points: Sequence[Point], x: str, y: str) -> None:
    """Draws `y` over `x`, one line a method."""
    other, titles = ("workers", "{:,} workers") if x == "budget" else ("budget", "budget of {:,}")
    at = max(getattr(point, other) for point in points)
    for method in dict.fromkeys(point.method for point in points):
        mine = [p for p in points if p.method == method and getattr(p, other) == _most(points, method, other)]
        place.plot([getattr(p, x) for p in mine], [getattr(p, y) for p in mine], marker="o", label=method)
    place.set(xscale="log", xlabel="budget" if x == "budget" else "virtual workers", title=titles.format(at))
    if y == "time":
        place.set_yscale("log")
    places = sorted({getattr(p, x) for p in points})
    place.set_xticks(places, [f"{value:,}" for value in places])
    place.xaxis.minorticks_off()


def _most(points: Sequence[Point], method: str, axis: str) -> int:
    """Returns the method's largest number on the axis: a method that sets its own workers has only that number."""
    return int(max(getattr(point, axis) for point in points if point.method == method))
