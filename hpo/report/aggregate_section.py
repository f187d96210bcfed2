"""The report's section on aggregates over tasks and seeds: interquartile means and performance profiles. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpo.report.aggregate_tables import SCALE_NOTE, aggregate_tables
from hpo.report.canvas import Looks, Vector, legend, panel, style
from hpo.report.palette import MUTED
from hpo.report.parts import Figures, Part, Section, Text, picture, table
from hpo.results.aggregates import Aggregates
from hpo.results.values import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = 4  # most methods with a band: more bands cover each other
COLOURS = 8  # most methods in colour
FEW = 6  # methods in colour if there are more: the best


def aggregate_section(comparison: Comparison, looks: Looks) -> Section:
    """Returns the performance profiles and the tables of interquartile means and probabilities of improvement."""
    found, title = comparison.aggregates, "Aggregates"
    if found is None:
        return Section("aggregates", title, [Text("At least two seeds that every method completed are needed.")])
    means, *rest = aggregate_tables(comparison)
    unit = "normalized score" if found.scales else comparison.metric
    caption = (
        "The share of runs better than each value, "
        + ("a mean over tasks, " if len(found.tasks) > 1 else "")
        + "with a 95 % band at each value by itself: the higher line is better. Its values at the left tell of failures, "
        "at the right of the best runs." + (f" {SCALE_NOTE}." if found.scales else "")
    )
    drawn = picture(profiles(found, looks, unit), "profiles", f"Performance profiles over {unit}", caption)
    parts: list[Part] = [table(means), Figures([drawn]), *(table(content) for content in rest)]
    return Section("aggregates", title, parts)


def profiles(found: Aggregates, looks: Looks, unit: str) -> Figure:
    """Draws each method's performance profile as a step curve; better values are at the right."""
    order = sorted(found.profiles, key=lambda profile: -float(np.mean(profile.share)))
    named = {profile.method for profile in order[: len(order) if len(order) <= COLOURS else FEW]}
    with style():
        figure, axes = panel()
        x = np.array(found.thresholds)
        for profile in sorted(found.profiles, key=lambda profile: profile.method in named):  # the grey ones below
            look, strong = looks[profile.method], profile.method in named
            colour = look.colour if strong else MUTED.light
            axes.step(x, profile.share, where="post", color=colour, ls=look.dash if strong else "-",
                      lw=1.9 if strong else 0.8, alpha=1 if strong else 0.5, label=profile.method if strong else None,
                      gid=f"profile-{profile.method}")  # fmt: skip
            if len(order) <= BANDS:
                axes.fill_between(x, profile.low, profile.high, step="post", color=colour, alpha=0.10, lw=0)
        axes.set(xlabel=unit, ylabel="share of better runs", ylim=(-0.02, 1.02))
        if x[0] != x[-1]:
            axes.set_xlim(_start(x), x[-1])
        legend(axes, len(named))
    return figure


def _start(x: Vector) -> float:
    """Returns where the axis begins, for thresholds from bad to good: collapsed runs would squeeze the rest."""
    middle = float(np.median(x))
    start = middle - 2 * (float(x[-1]) - middle)
    return max(start, float(x[0])) if x[0] < x[-1] else min(start, float(x[0]))
