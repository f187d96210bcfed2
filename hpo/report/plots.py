"""The report's figures, drawn from plain arrays with matplotlib, which is imported only when something is drawn.

Each function returns a matplotlib Figure that `save` writes as a picture and that svg.inline puts into a page. Sizes
are in CSS pixels at the width a phone or half a desktop page gives, so that text keeps its size. No I/O but `save`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.files import write_whole
from hpo.report.palette import ACCENT, CARD, INK, LINE, MUTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Vector: TypeAlias = NDArray[np.float64]
Looks: TypeAlias = Mapping[str, Look]
Points: TypeAlias = tuple[Sequence[float], Sequence[float], Sequence[bool]]  # places, best values, trained to the end
Curve: TypeAlias = tuple[Sequence[float], Sequence[float], Sequence[float]]  # places, mean, standard deviation

WIDTH, HEIGHT = 420, 290  # one panel
_DATED = {"svg": "Date", "pdf": "CreationDate"}  # left out: equal figures make equal files
_STYLE = {
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED.light,
    "axes.labelcolor": INK.light,
    "text.color": INK.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": INK.light,
    "ytick.labelcolor": INK.light,
    "axes.grid": True,
    "grid.color": LINE.light,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "figure.facecolor": CARD.light,
    "axes.facecolor": "none",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "lines.linewidth": 1.9,
}


@dataclass(frozen=True)
class Band:
    """A curve over x with an interval around it; `low` and `high` are None where one run alone gives no interval.

    `x`, `mean`, `low`, `high` have shape [points]; values hold from their x on (steps).
    """

    x: Vector
    mean: Vector
    low: Vector | None = None
    high: Vector | None = None


@dataclass(frozen=True)
class Axis:
    """One hyperparameter's axis: numbers, or the names of its choices where `names` is given (positions 0, 1, ...).

    `low` is where the axis begins; it may be the larger number.
    """

    name: str
    low: float
    high: float
    log: bool = False
    names: tuple[str, ...] = ()

    def place(self, value: float) -> float:
        """Where `value` lies between the ends, 0 to 1; 0.5 on an axis of one value."""
        low, high, v = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return (v - low) / (high - low) if high != low else 0.5


@dataclass(frozen=True)
class Line:
    """A trial as a line: its method, its numbers, and what a tooltip says of it. NaN where a number does not exist."""

    method: str
    values: Sequence[float]
    label: str = ""
    strong: bool = False


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def _panel(width: float = WIDTH, height: float = HEIGHT, arranged: bool = True) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), layout="constrained" if arranged else None)
    return figure, figure.subplots()


def save(figure: Figure, path: str | Path) -> Path:
    """Writes the figure as a picture in the format of the path's suffix (.png, .svg, .pdf), whole or not at all."""
    import matplotlib

    path, buffer = Path(path), io.BytesIO()
    kind = path.suffix.lstrip(".") or "png"
    with matplotlib.rc_context({"svg.hashsalt": "hpo-arena"}):
        figure.savefig(buffer, format=kind, dpi=160, metadata=None if kind == "png" else {_DATED[kind]: None})
    write_whole(path, buffer.getvalue())
    return path


def anytime(bands: Mapping[str, Band], looks: Looks, *, metric: str, x_label: str, log_x: bool = False) -> Figure:
    """The best value so far of each method over what it cost: mean over its runs with their interval as a band."""
    with _style():
        figure, axes = _panel()
        for method, band in bands.items():
            _band(axes, method, band, looks[method])
        axes.set(xlabel=x_label, ylabel=metric)
        if log_x:
            axes.set_xscale("log")
        _y_from(axes, [band.mean for band in bands.values()])
        axes.margins(x=0.01)
        _legend(axes, len(bands))
    return figure


def _band(axes: Axes, method: str, band: Band, look: Look) -> None:
    axes.step(band.x, band.mean, where="post", color=look.colour, ls=look.dash, label=method, gid=f"mean-{method}")
    if band.low is not None and band.high is not None:
        axes.fill_between(band.x, band.low, band.high, step="post", color=look.colour, alpha=0.14, lw=0)


def _y_from(axes: Axes, means: Sequence[Vector]) -> None:
    """Leaves out the first poor epochs where they would press all that matters into one strip."""
    values = np.concatenate([mean[np.isfinite(mean)] for mean in means]) if means else np.array([])
    if not values.size:
        return
    ends = np.array([mean[np.isfinite(mean)][-1] for mean in means if np.isfinite(mean).any()])
    middle, low, high = np.median(values), values.min(), values.max()
    room = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    if np.median(ends) >= middle:
        quarter = np.quantile(values, 0.05)
        axes.set_ylim(min(quarter, ends.min()) - room, high + room)
    else:
        axes.set_ylim(low - room, max(np.quantile(values, 0.95), ends.max()) + room)


def _legend(axes: Axes, entries: int) -> None:
    if entries:
        axes.figure.legend(loc="outside upper left", ncols=min(entries, 4), handlelength=2.2, columnspacing=1.2)


def intervals(
    rows: Mapping[str, tuple[float, tuple[float, float] | None, Sequence[float]]], looks: Looks, *, metric: str
) -> Figure:
    """Each method's mean with its 95 percent interval, and its single runs as dots: row = (mean, interval, runs)."""
    with _style():
        figure, axes = _panel(height=70 + 34 * len(rows))
        for y, (method, (mean, interval, runs)) in enumerate(rows.items()):
            look = looks[method]
            axes.plot(runs, [y] * len(runs), look.marker, color=look.colour, alpha=0.45, ms=5, mew=0)
            if interval is not None:
                axes.plot(interval, [y - 0.24] * 2, color=look.colour, lw=2.4, solid_capstyle="butt")
            axes.plot([mean], [y - 0.24], "o", color=look.colour, ms=6.5)
        axes.set(yticks=range(len(rows)), yticklabels=list(rows), ylim=(len(rows) - 0.5, -0.65), xlabel=metric)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def critical_difference(
    ranks: Mapping[str, float], groups: Sequence[Sequence[str]], difference: float, looks: Looks
) -> Figure:
    """Mean ranks on a line, 1 (best) to the left; a bar joins each of `groups`, the critical difference stands above."""
    order = sorted(ranks, key=lambda name: ranks[name])
    half = (len(order) + 1) // 2
    joined = [group for group in groups if len(group) > 1]
    with _style():
        figure, axes = _panel(height=96 + 12 * len(joined) + 24 * half, arranged=False)
        base = -0.5 * len(joined)
        axes.hlines(0, 1, len(order), color=MUTED.light, lw=1.2)
        for tick in range(1, len(order) + 1):
            axes.text(tick, 0.35, str(tick), ha="center", va="bottom")
            axes.vlines(tick, 0, 0.2, color=MUTED.light, lw=1.2)
        for i, group in enumerate(joined):
            places = [ranks[name] for name in group]
            axes.hlines(-0.45 - 0.5 * i, min(places) - 0.04, max(places) + 0.04, color=INK.light, lw=4)
        for i, name in enumerate(order):
            left, colour = i < half, looks[name].colour
            y = base - 0.9 - (i if left else len(order) - 1 - i)
            end = 0.75 if left else len(order) + 0.25
            axes.plot([ranks[name], ranks[name], end], [0, y, y], color=colour, lw=1.5)
            text = f"{name} {ranks[name]:.2f}"
            axes.text(end + (-0.06 if left else 0.06), y, text, ha="right" if left else "left", va="center")
        axes.hlines(1.5, 1, 1 + difference, color=INK.light, lw=2)
        axes.text(1 + difference + 0.08, 1.5, f"critical difference {difference:.2f}", va="center")
        axes.set_axis_off()
        axes.set_position((0.25, 0.02, 0.5, 0.96))  # names hang out on both sides, where a layout engine sees no room
    return figure


def parallel(axes_of: Sequence[Axis], lines: Sequence[Line], looks: Looks) -> Figure:
    """Parallel coordinates: a vertical axis a hyperparameter, the metric last (its better end on top), a line a trial."""
    with _style():
        figure, axes = _panel(width=max(WIDTH, min(170 * len(axes_of), max(960, 110 * len(axes_of)))), height=360)
        for i, line in enumerate(lines):
            places = [a.place(v) if math.isfinite(v) else math.nan for a, v in zip(axes_of, line.values, strict=True)]
            faint = {"lw": 0.9, "alpha": 0.08 + 0.55 * places[-1] ** 2}
            weight = {"lw": 2.2, "alpha": 0.95, "zorder": 4} if line.strong else faint
            axes.plot(places, color=looks[line.method].colour, gid=f"trial-{i}", **weight)
        for x, axis in enumerate(axes_of):
            axes.axvline(x, color=MUTED.light, lw=1, zorder=3)
            for place, text in _axis_labels(axis):
                axes.text(x + 0.03, place, text, size=10.5, va="center", zorder=5, bbox=_halo())
        names = [_two_lines(axis.name) for axis in axes_of]
        axes.set(xticks=range(len(axes_of)), xticklabels=names, yticks=[], ylim=(-0.05, 1.05))
        axes.set_xlim(-0.1, len(axes_of) - 0.55)
        axes.tick_params(axis="x", length=0, pad=8)
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
        _method_legend(axes, {line.method for line in lines}, looks)
    return figure


def _halo() -> dict[str, Any]:
    return {"boxstyle": "square,pad=0.1", "facecolor": CARD.light, "edgecolor": "none", "alpha": 0.75}


def _two_lines(name: str) -> str:
    """Long names break at an underscore near their middle."""
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


def _method_legend(axes: Axes, drawn: set[str], looks: Looks) -> None:
    from matplotlib.lines import Line2D

    shown = [name for name in looks if name in drawn]
    handles = [Line2D([], [], color=looks[name].colour, label=name, lw=2.2) for name in shown]
    axes.figure.legend(handles=handles, loc="outside upper left", ncols=min(len(shown) or 1, 4), handlelength=1.6)


def importance(shares: Mapping[str, tuple[float, float, float]], *, label: str = "share of variance") -> Figure:
    """Bars, the most important first, each with its interval: name -> (share, low, high), all 0 to 1."""
    with _style():
        figure, axes = _panel(height=70 + 27 * len(shares))
        names = list(shares)
        values = np.array([shares[name] for name in names]).reshape(-1, 3)
        axes.barh(range(len(names)), values[:, 0], color=ACCENT.light, alpha=0.55, height=0.62)
        for y, (_, low, high) in enumerate(values):
            axes.plot([low, high], [y, y], color=INK.light, lw=1.4)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6), xlabel=label)
        axes.set_xlim(0, min(1.0, 1.08 * max(values.max(initial=0.1), 0.1)))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
    return figure


def marginal(
    axis: Axis, points: Mapping[str, Points], looks: Looks, *, metric: str, curve: Curve | None = None
) -> Figure:
    """A hyperparameter against the metric: the trials as dots, those stopped early pale; the model's marginal as a line."""
    with _style():
        figure, axes = _panel(width=340, height=250)
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
    """Choices are spread a little so that equal dots do not hide each other; by position, not by chance."""
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
    if finite.size > 8:  # a few hopeless trials must not press the others into one strip
        low, middle, high = np.quantile(finite, [0.05, 0.5, 0.95])
        room = 0.12 * (high - low) or 0.05
        axes.set_ylim(
            max(finite.min(), low - 2 * (middle - low)) - room, min(finite.max(), high + 2 * (high - middle)) + room
        )


def heat(
    row: str, rows: Sequence[object], column: str, columns: Sequence[object], values: Vector, *, metric: str
) -> Figure:
    """A pair of hyperparameters as a heat map of the predicted metric, [rows, columns], by the values of its cells."""
    with _style():
        figure, axes = _panel(width=340, height=280)
        mesh = axes.pcolormesh(values, cmap="cividis", edgecolors="face", linewidth=0.2)
        places, names = _cell_marks(columns)
        axes.set_xticks(places, names, rotation=30 if sum(map(len, names)) > 18 else 0)
        axes.set_yticks(*_cell_marks(rows))
        axes.grid(visible=False)
        axes.set(xlabel=column, ylabel=row)
        bar = figure.colorbar(mesh, ax=axes, shrink=0.9, label=metric)
        bar.outline.set_visible(False)
    return figure


def _cell_marks(values: Sequence[object]) -> tuple[list[float], list[str]]:
    """Every cell's value where there are few, else about four of them."""
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
    """Every trial of one method over its epochs, the winners strong; dotted verticals are the schedule's rungs."""  # fmt: skip
    with _style():
        figure, axes = _panel(width=WIDTH - 40, height=250)
        for i, line in enumerate(lines):
            x = np.arange(1, len(line.values) + 1)
            weight = {"lw": 2.2, "zorder": 4} if line.strong else {"lw": 0.9, "alpha": 0.45}
            axes.plot(x, line.values, color=look.colour, gid=f"curve-{i}", **weight)
        ends = [(len(line.values), line.values[-1]) for line in lines]
        axes.plot(*zip(*ends, strict=True), ".", color=look.colour, ms=4, mew=0)
        for rung in rungs:
            axes.axvline(rung, color=MUTED.light, lw=1, ls=(0, (1.5, 2.5)))
        axes.set(xlabel="epoch of the trial", ylabel=metric, title=title, ylim=y_range)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def selection(pairs: Mapping[str, Sequence[tuple[float, float]]], looks: Looks, *, metric: str) -> Figure:
    """Validation against test of every run's winner; below the diagonal, validation promised more than test gave."""
    with _style():
        figure, axes = _panel(width=360, height=330)
        values = [v for points in pairs.values() for point in points for v in point]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        room = 0.08 * (high - low) or 0.05
        ends = (low - room, high + room)
        axes.plot(ends, ends, color=MUTED.light, lw=1, ls=(0, (4, 3)))
        for method, points in pairs.items():
            look = looks[method]
            x, y = zip(*points, strict=True) if points else ((), ())
            axes.plot(x, y, look.marker, color=look.colour, ms=6.5, alpha=0.8, mew=0, label=method)
        axes.set(xlabel=f"validation ({metric})", ylabel="test", xlim=ends, ylim=ends, aspect="equal")
        _legend(axes, len(pairs))
    return figure
