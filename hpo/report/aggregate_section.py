"""The report's section on aggregates over tasks and seeds: interquartile means and performance profiles. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpo.report.aggregate_tables import SCALE_NOTE, aggregate_tables
from hpo.report.canvas import Looks, legend, panel, style
from hpo.report.parts import Figures, Part, Section, Text, picture, table
from hpo.results.aggregates import Aggregates
from hpo.results.values import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE = (
    0.02  # share of the thresholds at the bad end that the picture may cut off: collapsed runs would squeeze the rest
)


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
    """Draws each method's performance profile as a step curve with its band; better values are at the right."""
    with style():
        figure, axes = panel()
        x = np.array(found.thresholds)
        for profile in found.profiles:
            look = looks[profile.method]
            axes.step(x, profile.share, where="post", color=look.colour, ls=look.dash, label=profile.method,
                      gid=f"profile-{profile.method}")  # fmt: skip
            axes.fill_between(x, profile.low, profile.high, step="post", color=look.colour, alpha=0.10, lw=0)
        axes.set(xlabel=unit, ylabel="share of runs that are better", ylim=(-0.02, 1.02))
        start = x[int(WHOLE * len(x))]
        if start != x[-1]:
            axes.set_xlim(start, x[-1])
        legend(axes, len(found.profiles))
    return figure
