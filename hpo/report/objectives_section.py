"""The report's section on constraints and on two objectives: infeasible trials, fronts, hypervolumes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from hpo.report import series
from hpo.report.canvas import HEIGHT, WIDTH, Looks, method_legend, panel
from hpo.report.looks import in_grey
from hpo.report.objective_tables import feasibility_table, front_table, hypervolume_table, named, shares_table
from hpo.report.palette import INK, MUTED, Look
from hpo.report.parts import Figures, Part, Picture, Section, Text, folded, picture, table
from hpo.report.tables import Column, Table
from hpo.results.pareto import Pareto
from hpo.results.values import Comparison
from hpo.store import StudyData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LISTED = 200  # most infeasible trials in the table
SPREAD = 30  # ratio of the ends of an axis from which on it is logarithmic


def objectives_section(comparison: Comparison, looks: Looks, studies: Sequence[StudyData]) -> list[Section]:
    """Returns the section; nothing if the comparison has neither constraints nor objectives."""
    parts: list[Part] = _constraints(comparison, studies) if comparison.constraints else []
    parts += _fronts(comparison.objectives, looks)
    title = "Objectives and constraints" if comparison.objectives else "Constraints"
    return [Section("objectives", title, parts)] if parts else []


def _constraints(comparison: Comparison, studies: Sequence[StudyData]) -> list[Part]:
    said = " and ".join(comparison.constraints)
    text = (
        f"Only configurations with {said} count as results in this report. The runs were charged for the others, too. The "
        "final exam tested the winners that the runs had without the constraint: another winner has no test."
    )
    parts: list[Part] = [Text(text), table(feasibility_table(comparison))]
    return parts + [folded(listed) for data in studies if (listed := _listed(comparison, data)).rows]


def _listed(comparison: Comparison, data: StudyData) -> Table:
    """Returns one row an infeasible trial of a run, with its configuration."""
    found = [(trial, r) for r in comparison.feasibility if r.study == data.name for trial in r.infeasible]
    configs = {row.trial: row.config for row in series.trials(data)}
    columns = (
        Column("trial", "trial", "text"),
        Column("run", "run", "text"),
        Column("configuration", "config", "text"),
    )
    rows = tuple(
        (trial, f"{run.method}/{run.seed}", series.config_text(configs.get(trial, {})))
        for trial, run in islice(found, LISTED)
    )
    note = f"The first {LISTED} of {len(found):,}." if len(found) > LISTED else ""
    return Table(f"{data.name}: infeasible trials", columns, rows, note)


def _fronts(tasks: Sequence[Pareto], looks: Looks) -> list[Part]:
    """Returns the fronts of every task side by side, then the hypervolumes; of several tasks the details are folded."""
    empty = [found.study for found in tasks if not found.front]
    parts: list[Part] = [Text(f"No epoch has a value of both objectives: {', '.join(empty)}.")] if empty else []
    drawn = [_picture(found, number, looks) for number, found in enumerate(tasks) if found.front]
    parts += [Figures(drawn)] if drawn else []
    if len(tasks) > 1:
        parts.append(table(shares_table(tasks)))
    for found in tasks:
        hypervolumes = hypervolume_table(found)
        parts.append(table(hypervolumes) if len(tasks) == 1 else folded(hypervolumes))
        parts += [folded(front_table(found))] if found.front else []
    return parts


def _picture(found: Pareto, number: int, looks: Looks) -> Picture:
    first, second = (objective.name for objective in found.objectives)
    caption = (
        f"{found.study}: each method's front over all of its runs; ringed marks lie on the front of all methods. The cross "
        f"is the reference point of the hypervolume.{in_grey(looks)}"
    )
    return picture(
        fronts(found, looks), f"fronts-{number}", f"{found.study}: Pareto fronts of {first} and {second}", caption
    )


def fronts(found: Pareto, looks: Looks) -> Figure:
    """Draws each method's front as a staircase: the second objective over the first, with the reference point."""
    first, second = found.objectives
    figure, axes = panel(width=WIDTH + 60, height=HEIGHT + 30)
    for method in sorted(found.methods, key=lambda m: looks[m.method].top):
        if method.front:
            _staircase(axes, [c.values for c in method.front], found, looks[method.method])
    best = [c.values for c in found.front]
    axes.plot(*zip(*best, strict=True), "o", ms=9, mfc="none", mec=INK.light, mew=0.9, zorder=5)
    axes.plot(*found.reference, "+", color=MUTED.light, ms=11, mew=1.6)
    axes.set(xlabel=named(first), ylabel=named(second))
    ends = (found.reference, found.ideal)
    for values, scale in zip(zip(*ends, strict=True), (axes.set_xscale, axes.set_yscale), strict=True):
        if min(values) > 0 and max(values) > SPREAD * min(values):
            scale("log")
    method_legend(figure, {m.method for m in found.methods if m.front}, looks, marks=True)
    return figure


def _staircase(axes: Axes, values: list[tuple[float, float]], found: Pareto, look: Look) -> None:
    """Draws the boundary of what a front dominates, from one side of the reference point to the other."""
    (x, y), (first, _) = found.reference, found.objectives
    points = sorted(values)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    weight = {"color": look.colour, "ls": look.dash, "lw": 1.6 if look.top else 1.0}
    if first.mode == "max":  # from the left at the height of the first point to the last point, then to the reference
        axes.step([x, *xs, xs[-1]], [ys[0], *ys, y], where="pre", **weight)
    else:
        axes.step([xs[0], *xs, x], [y, *ys, ys[-1]], where="post", **weight)
    axes.plot(*zip(*points, strict=True), look.marker, color=look.colour, ms=4.5, mew=0, zorder=3)
