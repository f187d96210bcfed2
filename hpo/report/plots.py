"""The comparison's figures, from plain arrays: anytime curves, intervals, ranks, importance, validation against test.

Each function returns a matplotlib Figure, which `save` writes as a picture and svg.inline puts into a page. Sizes are
in CSS pixels and fit a phone or half a desktop page, so text keeps its size. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpo.report import end_labels
from hpo.report.canvas import LONGEST, WIDTH, WORDS, Looks, Vector, method_legend, panel, save, text_width
from hpo.report.palette import ACCENT, INK, MUTED, Look
from hpo.text import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Band", "anytime", "critical_difference", "importance", "intervals", "save", "selection"]


WIDER = 60  # most that names at the ends of lines widen a figure: a wider one has tiny text on a phone
FEW = 8  # rows of a figure up to which each gets ample room


@dataclass(frozen=True)
class Band:
    """A step curve over x with an interval around it; all [points]. A value holds from its x on.

    `low` and `high` are None if a single run gives no interval.
    """

    x: Vector
    mean: Vector
    low: Vector | None = None
    high: Vector | None = None


def anytime(bands: Mapping[str, Band], looks: Looks, *, metric: str, x_label: str, log_x: bool = False) -> Figure:
    """Draws each method's best value so far over its cost: the mean over its runs, with its interval as a band.

    The methods' names stand at the ends of their lines. Methods in grey have no name; where there are any, no bands are
    drawn.
    """
    names = [method for method in bands if looks[method].top]
    figure, axes = panel(width=WIDTH + min(end_labels.room(names), WIDER))
    for method in sorted(bands, key=lambda name: looks[name].top):  # the grey ones below the others
        _curve(axes, method, bands[method], looks[method], shaded=len(names) == len(bands))
    axes.set(xlabel=x_label, ylabel=metric)
    if log_x:
        axes.set_xscale("log")
    axes.set_ylim(*shown_range([band.mean for band in bands.values()]))
    axes.margins(x=0.01)
    end_labels.draw(figure, axes, {m: (bands[m].x[-1], bands[m].mean[-1]) for m in names}, looks)
    return figure


def _curve(axes: Axes, method: str, band: Band, look: Look, shaded: bool) -> None:
    weight = {} if look.top else {"lw": 1.0}
    gid = f"mean-{method}".replace(" ", "-")  # no id may hold a space
    axes.step(band.x, band.mean, where="post", color=look.colour, ls=look.dash, gid=gid, **weight)
    if shaded and band.low is not None and band.high is not None:
        axes.fill_between(band.x, band.low, band.high, step="post", color=look.colour, alpha=0.14, lw=0)


def shown_range(means: Sequence[Vector]) -> tuple[float, float]:
    """Returns the ends of the y axis: poor first epochs that would squeeze the rest into a thin strip are left out."""
    values = np.concatenate([mean[np.isfinite(mean)] for mean in means]) if means else np.array([])
    if not values.size:
        return 0.0, 1.0
    ends = np.array([mean[np.isfinite(mean)][-1] for mean in means if np.isfinite(mean).any()])
    middle, low, high = np.median(values), values.min(), values.max()
    room = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    if np.median(ends) >= middle:
        return float(min(np.quantile(values, 0.05), ends.min()) - room), float(high + room)
    return float(low - room), float(max(np.quantile(values, 0.95), ends.max()) + room)


def intervals(
    rows: Mapping[str, tuple[float, tuple[float, float] | None, Sequence[float]]], looks: Looks, *, metric: str
) -> Figure:
    """Draws each method's mean with its 95 percent interval, and its single runs as marks: row = (mean, interval, runs)."""
    figure, axes = panel(height=70 + (34 if len(rows) <= FEW else 24) * len(rows))
    for y, (method, (mean, interval, runs)) in enumerate(rows.items()):
        look = looks[method]
        axes.plot(runs, [y] * len(runs), look.marker, color=look.colour, alpha=0.45, ms=5, mew=0)
        if interval is not None:
            axes.plot(interval, [y - 0.24] * 2, color=look.colour, lw=2.4, solid_capstyle="butt")
        axes.plot([mean], [y - 0.24], "o", color=look.colour, ms=6.5)
    axes.set(
        yticks=range(len(rows)),
        yticklabels=[cut(name, LONGEST) for name in rows],
        ylim=(len(rows) - 0.5, -0.65),
        xlabel=metric,
    )
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def critical_difference(
    ranks: Mapping[str, float], groups: Sequence[Sequence[str]], difference: float, looks: Looks
) -> Figure:
    """Draws mean ranks on a line, 1 (best) at the left; a bar joins each of `groups`; the critical difference is above."""
    order = sorted(ranks, key=lambda name: ranks[name])
    half = (len(order) + 1) // 2
    joined = [group for group in groups if len(group) > 1]
    width = WIDTH + WIDER
    figure, axes = panel(width, height=96 + 12 * len(joined) + 24 * half, arranged=False)
    base, beyond = -0.5 * len(joined), 0.08 * len(order)
    axes.hlines(0, 1, len(order), color=MUTED.light, lw=1.2)
    for tick in range(1, len(order) + 1):
        if len(order) <= 10 or tick % 5 == 0 or tick == 1:
            axes.text(tick, 0.35, str(tick), ha="center", va="bottom", **WORDS)
        axes.vlines(tick, 0, 0.2, color=MUTED.light, lw=1.2)
    for i, group in enumerate(joined):
        places = [ranks[name] for name in group]
        axes.hlines(-0.45 - 0.5 * i, min(places) - 0.04, max(places) + 0.04, color=INK.light, lw=4)
        axes.plot(places, [-0.45 - 0.5 * i] * len(places), "o", color=INK.light, ms=7)  # a bar may pass others by
    for i, name in enumerate(order):
        left, colour = i < half, looks[name].colour
        y = base - 0.9 - (i if left else len(order) - 1 - i)
        end = 1 - beyond if left else len(order) + beyond
        axes.plot([ranks[name], ranks[name], end], [0, y, y], color=colour, lw=1.5)
        text = f"{cut(name, end_labels.LONGEST)} {ranks[name]:.2f}"
        axes.text(end + (-0.06 if left else 0.06), y, text, ha="right" if left else "left", va="center", **WORDS)
    axes.hlines(1.5, 1, 1 + difference, color=INK.light, lw=2)
    axes.text(1 + difference + 0.08, 1.5, f"critical difference {difference:.2f}", va="center", **WORDS)
    axes.set_axis_off()
    room = max(text_width(cut(name, end_labels.LONGEST) + " 00.00", 12) for name in order) / width
    axes.set_position((room, 0.02, 1 - 2 * room, 0.96))  # names stick out on both sides; the layout engine ignores them
    return figure


def importance(shares: Mapping[str, tuple[float, float, float]], *, label: str = "share of variance") -> Figure:
    """Draws bars, the most important first, each with its interval: name -> (share, low, high), all 0 to 1."""
    figure, axes = panel(height=70 + 27 * len(shares))
    names = list(shares)
    values = np.array([shares[name] for name in names]).reshape(-1, 3)
    axes.barh(range(len(names)), values[:, 0], color=ACCENT.light, alpha=0.55, height=0.62)
    for y, (_, low, high) in enumerate(values):
        axes.plot([low, high], [y, y], color=INK.light, lw=1.4)
    axes.set(
        yticks=range(len(names)),
        yticklabels=[cut(name, LONGEST) for name in names],
        ylim=(len(names) - 0.4, -0.6),
        xlabel=label,
    )
    axes.set_xlim(0, min(1.0, 1.08 * max(values.max(initial=0.1), 0.1)))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    return figure


def selection(pairs: Mapping[str, Sequence[tuple[float, float]]], looks: Looks, *, metric: str) -> Figure:
    """Draws validation against test of every run's winner; below the diagonal, validation was too optimistic."""
    figure, axes = panel(width=360, height=330)
    values = [v for points in pairs.values() for point in points for v in point]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.05
    ends = (low - room, high + room)
    axes.plot(ends, ends, color=MUTED.light, lw=1, ls=(0, (4, 3)))
    for method, points in pairs.items():
        look = looks[method]
        x, y = zip(*points, strict=True) if points else ((), ())
        axes.plot(x, y, look.marker, color=look.colour, ms=6.5, alpha=0.8, mew=0)
    axes.set(xlabel=f"validation ({metric})", ylabel="test", xlim=ends, ylim=ends, aspect="equal")
    axes.locator_params(nbins=5)
    method_legend(figure, pairs, looks, marks=True)
    return figure
