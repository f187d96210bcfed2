"""The trials' figures, from plain arrays: parallel coordinates, marginals, heat maps, learning curves. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hpo.report.canvas import LONGEST, WIDTH, WORDS, Looks, Vector, dress, method_legend, panel
from hpo.report.palette import CARD, INK, MUTED, OTHER, Look
from hpo.text import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points: TypeAlias = tuple[Sequence[float], Sequence[float], Sequence[bool]]  # places, best values, trained to the end
Curve: TypeAlias = tuple[Sequence[float], Sequence[float], Sequence[float]]  # places, mean, standard deviation


@dataclass(frozen=True)
class Axis:
    """One hyperparameter's axis: numbers, or choices at positions 0, 1, ... if `names` is given.

    The axis begins at `low`, which may be larger than `high`.
    """

    name: str
    low: float
    high: float
    log: bool = False
    names: tuple[str, ...] = ()

    def place(self, value: float) -> float:
        """Returns the position of `value` between the ends, 0 to 1; 0.5 on an axis with a single value."""
        low, high, v = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return (v - low) / (high - low) if high != low else 0.5


@dataclass(frozen=True)
class Line:
    """A trial as a line: its method, its numbers (NaN if missing), its tooltip, and whether it is drawn strong."""

    method: str
    values: Sequence[float]
    label: str = ""
    strong: bool = False


def parallel(axes_of: Sequence[Axis], lines: Sequence[Line], looks: Looks) -> Figure:
    """Draws parallel coordinates: one vertical axis a hyperparameter, the metric last (better end on top), one line a trial."""
    figure, axes = panel(width=max(WIDTH, min(170 * len(axes_of), max(960, 110 * len(axes_of)))), height=360)
    for i, line in enumerate(lines):
        places = [a.place(v) if math.isfinite(v) else math.nan for a, v in zip(axes_of, line.values, strict=True)]
        axes.plot(places, gid=f"trial-{i}", **_weight(line, places[-1], looks[line.method]))
    for x, axis in enumerate(axes_of):
        axes.axvline(x, color=MUTED.light, lw=1, zorder=3)
        for place, text in _axis_labels(axis):
            axes.text(x + 0.03, place, text, color=INK.light, size=10.5, va="center", zorder=5, bbox=_halo())
    names = [_two_lines(axis.name) for axis in axes_of]
    axes.set(xticks=range(len(axes_of)), xticklabels=names, yticks=[], ylim=(-0.05, 1.05))
    axes.set_xlim(-0.1, len(axes_of) - 0.55)
    axes.tick_params(axis="x", length=0, pad=8)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    method_legend(figure, {line.method for line in lines}, looks)
    return figure


def _weight(line: Line, place: float, look: Look) -> dict[str, Any]:
    """Returns how a trial's line is drawn by its place on the metric's axis; grey and dotted if it has none."""
    if not math.isfinite(place):
        return {"color": OTHER.light, "lw": 0.8, "ls": (0, (1, 2)), "alpha": 0.7}
    if line.strong and look.top:
        return {"color": look.colour, "lw": 2.2, "alpha": 0.95, "zorder": 4}
    return {"color": look.colour, "lw": 0.9, "alpha": 0.08 + 0.55 * place**2}


def _halo() -> dict[str, Any]:
    return {"boxstyle": "square,pad=0.1", "facecolor": CARD.light, "edgecolor": "none", "alpha": 0.75}


def _two_lines(name: str) -> str:
    """Breaks a long name at the underscore closest to its middle."""
    if len(name) < 11 or "_" not in name:
        return name
    cut = min((i for i, c in enumerate(name) if c == "_"), key=lambda i: abs(i - len(name) / 2))
    return f"{name[: cut + 1]}\n{name[cut + 1 :]}"


def _axis_labels(axis: Axis) -> list[tuple[float, str]]:
    if axis.names:
        return [(axis.place(i), name) for i, name in enumerate(axis.names)]
    ends = (axis.low, axis.high)
    middle = math.sqrt(ends[0] * ends[1]) if axis.log else sum(ends) / 2
    return [(axis.place(v), f"{v:.3g}") for v in dict.fromkeys((axis.low, middle, axis.high))]


def marginal(
    axis: Axis, points: Mapping[str, Points], looks: Looks, *, metric: str, curve: Curve | None = None
) -> Figure:
    """Draws the metric over a hyperparameter: trials as marks, pale if stopped early; the surrogate's marginal as a line."""
    figure, axes = panel(width=340, height=250)
    for method, (values, best, whole) in points.items():
        look, x, y = looks[method], np.array(_spread(axis, values)), np.array(best)
        for kept, alpha in ((np.array(whole), 0.65), (~np.array(whole), 0.18)):
            axes.plot(x[kept], y[kept], look.marker, color=look.colour, ms=4.5, alpha=alpha, mew=0)
    if curve is not None:
        _marginal_curve(axes, axis, curve)
    if axis.names:
        axes.set(xticks=range(len(axis.names)), xticklabels=axis.names, xlim=(-0.5, len(axis.names) - 0.5))
        if sum(map(len, axis.names)) > 34:
            axes.tick_params(axis="x", rotation=30)
    elif axis.log:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", nbins=5)
    axes.set(xlabel=axis.name, ylabel=metric)
    _y_from_points(axes, [y for _, best, _ in points.values() for y in best])
    return figure


def _spread(axis: Axis, values: Sequence[float]) -> list[float]:
    """Spreads choices a little so that equal marks do not hide each other; by index, not at random."""
    if not axis.names:
        return list(values)
    return [v + 0.36 * ((i * 0.618034) % 1 - 0.5) for i, v in enumerate(values)]


def _marginal_curve(axes: Axes, axis: Axis, curve: Curve) -> None:
    x, mean, spread = (np.asarray(part, dtype=float) for part in curve)
    if axis.names:
        axes.errorbar(x, mean, yerr=spread, fmt="_", color=INK.light, ms=16, mew=2, lw=1.4, capsize=3, zorder=5)
        return
    axes.plot(x, mean, color=INK.light, lw=1.8, zorder=5)
    axes.fill_between(x, mean - spread, mean + spread, color=INK.light, alpha=0.14, lw=0)


def _y_from_points(axes: Axes, values: Sequence[float]) -> None:
    finite = np.array([v for v in values if math.isfinite(v)])
    if finite.size > 8:  # a few hopeless trials must not squeeze the others into a thin strip
        low, middle, high = np.quantile(finite, [0.05, 0.5, 0.95])
        room = 0.12 * (high - low) or 0.05
        axes.set_ylim(
            max(finite.min(), low - 2 * (middle - low)) - room, min(finite.max(), high + 2 * (high - middle)) + room
        )


def heat(
    row: str, rows: Sequence[object], column: str, columns: Sequence[object], values: Vector, *, metric: str
) -> Figure:
    """Draws the predicted metric [rows, columns] over a pair of hyperparameters as a heat map."""
    figure, axes = panel(width=340, height=280)
    mesh = axes.pcolormesh(values, cmap="cividis", edgecolors="face", linewidth=0.2)
    places, names = _cell_marks(columns)
    axes.set_xticks(places, names, rotation=30 if sum(map(len, names)) > 18 else 0)
    axes.set_yticks(*_cell_marks(rows))
    axes.grid(visible=False)
    axes.set(xlabel=column, ylabel=row)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.9)
    dress(bar.ax, grid=False)
    bar.set_label(metric)
    bar.outline.set_visible(False)
    return figure


def _cell_marks(values: Sequence[object]) -> tuple[list[float], list[str]]:
    """Returns positions and labels of every cell if there are few, otherwise of about four."""
    step = 1 if len(values) <= 6 else (len(values) - 1) // 3
    kept = range(0, len(values), step)
    return [i + 0.5 for i in kept], [
        f"{values[i]:.2g}" if isinstance(values[i], float) else str(values[i]) for i in kept
    ]


def learning_curves(
    lines: Sequence[Line],
    rungs: Sequence[int],
    look: Look,
    *,
    metric: str,
    title: str,
    y_range: tuple[float, float],
) -> Figure:
    """Draws every trial of one method over its epochs, winners strong; dotted verticals are the schedule's rungs."""
    figure, axes = panel(width=WIDTH - 40, height=250)
    for i, line in enumerate(lines):
        x = np.arange(1, len(line.values) + 1)
        weight = {"lw": 2.2, "zorder": 4} if line.strong else {"lw": 0.9, "alpha": 0.45}
        axes.plot(x, line.values, color=look.colour, gid=f"curve-{i}", **weight)
    ends = [(len(line.values), line.values[-1]) for line in lines]
    axes.plot(*zip(*ends, strict=True), ".", color=look.colour, ms=4, mew=0)
    for rung in rungs:
        axes.axvline(rung, color=MUTED.light, lw=1, ls=(0, (1.5, 2.5)))
    axes.set(xlabel="epoch of the trial", ylabel=metric, ylim=y_range)
    axes.set_title(cut(title, LONGEST), loc="left", fontweight="bold", **WORDS)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure
