"""The report's first sections: the comparison's results and the anytime curves. Writes only the curves' picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.report import comparison_tables, plots, reference
from hpo.report.canvas import Looks
from hpo.report.looks import in_grey, many, method_looks, ranked
from hpo.report.pair_tables import pair_tables
from hpo.report.parts import Figures, Part, Picture, Section, Text, folded, picture, table
from hpo.report.plots import Band
from hpo.report.tables import p_value
from hpo.results import anytime
from hpo.results.anytime import Corners
from hpo.results.bounds import UNBOUNDED, Bounds
from hpo.results.values import Comparison, RunSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

X_LABEL, COST_LABEL = "charged epochs of a run", "charged cost of a run"


def comparison_section(comparison: Comparison, looks: Looks) -> Section:
    """Returns the tables of results and cost, figures of the intervals and the ranks, and the folded tables of pairs."""
    found, *rest = comparison_tables.method_tables(comparison)
    parts: list[Part] = [table(found)]
    pictures = [p for p in (_intervals(comparison, looks), _ranks(comparison, looks)) if p is not None]
    if pictures:
        parts.append(Figures(pictures))
    parts += [table(content) for content in rest]
    parts += [folded(content) for content in pair_tables(comparison)]
    return Section("comparison", "Comparison", parts)


def _intervals(comparison: Comparison, looks: Looks) -> Picture | None:
    rows = {}
    order = ranked(comparison)
    for method in sorted(comparison.methods, key=lambda m: order.index(m.method)):
        values = [
            r.value for r in comparison.runs if r.method == method.method and r.complete and math.isfinite(r.value)
        ]
        if method.mean is not None and values:
            rows[method.method] = (method.mean, method.ci95, values)
    if not rows:
        return None
    figure = plots.intervals(rows, looks, metric=comparison.metric)
    caption = "Pale marks are single runs; the dot above them is their mean, and the bar is its 95 % interval."
    return picture(
        figure, "intervals", f"{comparison.metric} of every run, with each method's mean and interval", caption
    )


def _ranks(comparison: Comparison, looks: Looks) -> Picture | None:
    ranking = comparison.ranking
    if ranking is None:
        return None
    figure = plots.critical_difference(ranking.mean_ranks, ranking.groups, ranking.critical_difference, looks)
    caption = (
        f"Mean ranks over {ranking.blocks} blocks; 1 is best. Bars join methods of which none is shown to be better than "
        f"another. Nemenyi's critical difference, above, and Friedman's test (p {p_value(ranking.p)}) use only the ranks."
    )
    return picture(figure, "ranks", "Critical-difference diagram of the mean ranks", caption)


# -- anytime ------------------------------------------------------------------------------------------------------


def anytime_section(comparison: Comparison, looks: Looks) -> Section:
    """Returns the best value so far over charged epochs, and over the time that each method would have taken alone."""
    title, metric = "Best value so far", comparison.metric
    epochs = epoch_bands(comparison)
    if not epochs:
        return Section("anytime", title, [Text("No epoch has been charged yet.")])
    drawn = reference.with_line(epochs, looks, comparison, comparison.tasks[0])
    figure = plots.anytime(*drawn, metric=metric, x_label=X_LABEL)
    by_cost = bool(comparison.cost_budgets)  # the budget's own axis comes first
    caption = ("The same over epochs." if by_cost else _caption(looks)) + reference.caption(comparison)
    pictures = [picture(figure, "anytime-epochs", f"Best {metric} so far over charged epochs", caption)]
    pictures += _others(comparison, looks)
    if by_cost:
        pictures[:2] = pictures[1::-1]
    return Section("anytime", title, [Figures(pictures)])


def _others(comparison: Comparison, looks: Looks) -> list[Picture]:
    """Returns the same curves over what the epochs cost, where every run tells it, and over time."""
    metric, found = comparison.metric, list[Picture]()
    runs, bounds = comparison.runs, comparison.bounds
    if comparison.cost_budgets or not _even(runs):
        costs = cost_bands(comparison)
        figure = plots.anytime(costs, looks, metric=metric, x_label=COST_LABEL)
        over = "over what the epochs cost, as the trainable declares it by epoch_cost."
        caption = f"{_caption(looks)} Drawn {over}" if comparison.cost_budgets else f"The same {over}"
        found.append(picture(figure, "anytime-cost", f"Best {metric} so far over charged cost", caption))
    seconds = bands({m: [r.anytime_seconds for r in runs if r.method == m] for m in looks}, bounds)
    if any(band.x[-1] > 0 for band in seconds.values()):
        unit, size = _unit(max(band.x[-1] for band in seconds.values()))
        scaled = {m: Band(b.x / size, b.mean, b.low, b.high) for m, b in seconds.items()}
        figure = plots.anytime(scaled, looks, metric=metric, x_label=f"time of a run ({unit})")
        caption = (
            f"The same over time: the measured epochs, scheduled as if each run were alone on {comparison.workers} "
            f"worker{'s' if comparison.workers > 1 else ''}."
        )
        found.append(picture(figure, "anytime-time", f"Best {metric} so far over time", caption))
    return found


def _even(runs: Sequence[RunSummary]) -> bool:
    """Whether a curve over cost would show nothing new: every epoch cost the same, or some run does not tell."""
    known = [run for run in runs if run.anytime]
    if not all(run.anytime_cost for run in known):
        return True
    pairs = [pair for run in known for pair in zip(run.anytime, run.anytime_cost, strict=True)]
    return all(math.isclose(cost * pairs[0][0][0], epochs * pairs[0][1][0]) for (epochs, _), (cost, _) in pairs)


def _caption(looks: Looks) -> str:
    if many(looks):
        return f"Mean over the runs.{in_grey(looks)} Of so many methods no intervals are drawn here; the next section has them."
    return "Mean over the runs; the band is its 95 % interval if there are at least two runs."


def epoch_bands(comparison: Comparison) -> dict[str, Band]:
    """Returns each method's anytime band over charged epochs."""
    methods = [m.method for m in comparison.methods]
    return bands({m: [r.anytime for r in comparison.runs if r.method == m] for m in methods}, comparison.bounds)


def cost_bands(comparison: Comparison) -> dict[str, Band]:
    """Returns each method's anytime band over what its epochs cost."""
    methods = [m.method for m in comparison.methods]
    return bands({m: [r.anytime_cost for r in comparison.runs if r.method == m] for m in methods}, comparison.bounds)


def budget_bands(comparison: Comparison) -> tuple[dict[str, Band], str]:
    """Returns each method's anytime band over what the runs' budgets count, and the label of that axis."""
    if comparison.runs and all(run.study in comparison.cost_budgets for run in comparison.runs):
        return cost_bands(comparison), COST_LABEL
    return epoch_bands(comparison), X_LABEL


def budget_figure(comparison: Comparison, task: str) -> tuple[Figure, str] | None:
    """Returns the anytime curves of a task over what its budget counts, and the label of that axis; None before any charge.

    The reference's line is one over epochs.
    """
    looks, (found, label) = method_looks(comparison), budget_bands(comparison)
    if not found:
        return None
    drawn = reference.with_line(found, looks, comparison, task) if label == X_LABEL else (found, looks)
    return plots.anytime(*drawn, metric=comparison.metric, x_label=label), label


def save_picture(comparison: Comparison, path: str | Path) -> Path:
    """Writes the anytime curves over charged epochs, or over cost where that is the budget, as .png, .svg or .pdf."""
    found = budget_figure(comparison, comparison.tasks[0])
    figure = found[0] if found else plots.anytime({}, {}, metric=comparison.metric, x_label=X_LABEL)
    return plots.save(figure, path)


def bands(curves: Mapping[str, Sequence[Corners]], bounds: Bounds = UNBOUNDED) -> dict[str, Band]:
    """Returns each method's mean anytime curve with its interval, from the last run's start to the last run's end."""
    found = {}
    for method, runs in curves.items():
        if band := anytime.mean_band(runs, bounds):
            single = sum(map(bool, runs)) == 1
            found[method] = Band(*band[:2]) if single else Band(*band)
    return found


def _unit(seconds: float) -> tuple[str, float]:
    units = ((180, "s", 1), (7200, "min", 60), (math.inf, "h", 3600))
    return next((unit, size) for limit, unit, size in units if seconds < limit)
