"""The report's section on aggregates over tasks and seeds: interquartile means and performance profiles. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpo.report.aggregate_tables import SCALE_NOTE, aggregate_tables
from hpo.report.canvas import Looks, Vector, method_legend, panel
from hpo.report.looks import in_grey
from hpo.report.parts import Figures, Part, Section, Text, picture, table
from hpo.results.aggregates import Aggregates
from hpo.results.values import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = 4  # most methods with a band: more bands cover each other


def aggregate_section(comparison: Comparison, looks: Looks) -> Section:
    """Returns the performance profiles and the tables of interquartile means and probabilities of improvement."""
    found, title = comparison.aggregates, "Aggregates"
    if found is None or not len(found.thresholds):
        return Section(
            "aggregates", title, [Text("At least two seeds that every method completed with a value are needed.")]
        )
    means, *rest = aggregate_tables(comparison)
    unit = "normalized score" if found.scales else comparison.metric
    caption = (
        "The share of runs better than each value, "
        + ("a mean over tasks, " if len(found.tasks) > 1 else "")
        + "with a 95 % band at each value by itself: the higher line is better. Its values at the left tell of failures, "
        "at the right of the best runs." + (f" {SCALE_NOTE}." if found.scales else "") + in_grey(looks)
    )
    drawn = picture(profiles(found, looks, unit), "profiles", f"Performance profiles over {unit}", caption)
    parts: list[Part] = [table(means), Figures([drawn]), *(table(content) for content in rest)]
    return Section("aggregates", title, parts)


def profiles(found: Aggregates, looks: Looks, unit: str) -> Figure:
    """Draws each method's performance profile as a step curve; better values are at the right."""
    drawn = [profile.method for profile in found.profiles]
    figure, axes = panel()
    x = np.array(found.thresholds)
    for profile in sorted(found.profiles, key=lambda profile: looks[profile.method].top):  # the grey ones below
        look = looks[profile.method]
        axes.step(x, profile.share, where="post", color=look.colour, ls=look.dash, gid=_id(profile.method),
                  **({} if look.top else {"lw": 1.0}))  # fmt: skip
        if len(drawn) <= BANDS:
            axes.fill_between(x, profile.low, profile.high, step="post", color=look.colour, alpha=0.10, lw=0)
    axes.set(xlabel=unit, ylabel="share of better runs", ylim=(-0.02, 1.02))
    if x[0] != x[-1]:
        axes.set_xlim(_start(x), x[-1])
    method_legend(figure, drawn, looks)
    return figure


def _id(method: str) -> str:
    return f"profile-{method}".replace(" ", "-")  # no id may hold a space


def _start(x: Vector) -> float:
    """Returns where the axis begins, for thresholds from bad to good: collapsed runs would squeeze the rest."""
    middle = float(np.median(x))
    start = middle - 2 * (float(x[-1]) - middle)
    return max(start, float(x[0])) if x[0] < x[-1] else min(start, float(x[0]))
