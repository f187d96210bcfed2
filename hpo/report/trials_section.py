"""The report's sections on trials: configurations tried, learning curves, failures, marginals. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from hpo.report import series, trial_plots
from hpo.report.canvas import Looks
from hpo.report.looks import in_grey
from hpo.report.parts import Figures, Folded, Part, Picture, Section, Text, picture, table
from hpo.report.tables import Column, Table
from hpo.report.trial_plots import Curve
from hpo.store import StudyData

LISTED = 60  # most failed trials in the table
DOTS = 400  # most trials drawn against each hyperparameter


def tried(data: StudyData, looks: Looks, constrained: bool = False) -> Section:
    """Returns parallel coordinates of every configuration and its best value; `constrained`: of those that are feasible."""
    axes, lines = series.coordinates(data, infeasible=constrained)
    rows = series.trials(data)
    empty = sum(not math.isfinite(row.best) and not (constrained and row.epochs) for row in rows)
    if not lines:
        return Section("trials", "What was tried", [Text("No trial has a value of the metric yet.")])
    figure = trial_plots.parallel(axes, lines, looks)
    tips = {f"trial-{i}": line.label for i, line in enumerate(lines)}
    shown = (
        f" An even selection of {len(lines)} of {len(rows) - empty} trials is drawn."
        if len(lines) < len(rows) - empty
        else ""
    )
    shown += f" Trials without a value, not drawn: {empty}." if empty else ""
    shown += " Dotted lines that end before the metric are infeasible trials." if constrained else ""
    caption = (
        "Each line is a trial, from its hyperparameters to its best value on the right; strong lines are the runs' "
        f"winners.{in_grey(looks)} A line breaks where the trial does not have the hyperparameter." + shown
    )
    drawing = picture(figure, "parallel", f"Parallel coordinates of {len(lines)} trials", caption, tips)
    return Section("trials", "What was tried", [Figures([drawing], "wide")])


def learning(data: StudyData, looks: Looks) -> Section:
    """Returns the learning curves of every trial, one panel a method, with rungs."""
    rows, values = series.trials(data), series.curves(data)
    metric = data.definition["metric"]
    y_range = series.value_range((v for curve in values.values() for v in curve), room=0.04)
    pictures: dict[str, Picture] = {}
    for i, (method, look) in enumerate(looks.items()):
        lines = series.learning(data, method, rows, values)
        if not lines:
            continue
        rungs = series.rungs(rows, method)
        figure = trial_plots.learning_curves(lines, rungs, look, metric=metric, title=method, y_range=y_range)
        tips = {f"curve-{k}": line.label for k, line in enumerate(lines)}
        caption = _learning_caption(len(lines), sum(row.method == method for row in rows), rungs)
        pictures[method] = picture(figure, f"learning-{i}", f"Learning curves of {method}", caption, tips)
    title = "Learning curves"
    if not pictures:
        return Section("learning", title, [Text("No epoch has been charged yet.")])
    lead = "Each line is a trial, up to the last epoch charged to the method; strong lines are the runs' winners."
    parts: list[Part] = [Text(lead), Figures([p for method, p in pictures.items() if looks[method].top])]
    others = [p for method, p in pictures.items() if not looks[method].top]
    if others:
        parts.append(Folded(f"Learning curves of the other {len(others)} methods", parts=[Figures(others)]))
    return Section("learning", title, parts)


def _learning_caption(drawn: int, trials: int, rungs: Sequence[int]) -> str:
    count = f"{drawn} of {trials} trials" if drawn < trials else f"{trials} trials"
    if not rungs:
        return f"{count}."
    return f"{count}; many were paused or stopped at epoch {' and '.join(map(str, rungs))} (dotted)."


def failures(data: StudyData) -> Section:
    """Returns the failed configurations with their reasons, and the number of failures by kind."""
    trials = series.trials(data)
    failed = {row.trial: row for row in trials if row.status == "failed"}
    title = "Failed configurations"
    if not failed:
        return Section("failures", title, [Text("None: every requested configuration could be trained.")])
    kinds = Counter(row.kind or "error" for row in failed.values())
    counted = ", ".join(f"{count} {_KINDS.get(kind, kind)}" for kind, count in kinds.most_common())
    methods: dict[str, list[str]] = {}
    for row in trials:
        if row.trial in failed:
            methods.setdefault(row.trial, []).append(row.method)
    rows = tuple(
        (row.reason, row.kind, series.config_text(row.config), ", ".join(dict.fromkeys(methods[trial])), row.epochs)
        for trial, row in islice(failed.items(), LISTED)
    )
    columns = (
        Column("reason", "reason", "text"), Column("kind", "kind", "text"), Column("configuration", "config", "text"),
        Column("requested by", "methods", "text"), Column("epochs trained", "epochs", "count"),
    )  # fmt: skip
    note = f"The first {LISTED} of {len(failed)}; the store's table `failures` has all." if len(failed) > LISTED else ""
    lead = f"{len(failed)} of {len({row.trial for row in trials})} configurations failed: {counted}."
    lead += " The study continued without them; the epochs that they trained are charged."
    return Section(
        "failures", title, [Text(lead), table(Table("Failed configurations and reasons", columns, rows, note))]
    )


_KINDS = {
    "invalid": "impossible", "diverged": "diverged", "memory": "out of memory", "error": "raised an error",
    "lost": "lost with their worker",
}  # fmt: skip


def marginals(data: StudyData, looks: Looks, modelled: Mapping[str, Curve]) -> list[Part]:
    """Returns a panel for each hyperparameter: the trials' best values, and the surrogate's marginal if there is one."""
    rows, metric = series.trials(data), data.definition["metric"]
    most = min(DOTS, 6 * DOTS // max(1, len(series.axes(data))))
    rows = series.thinned(rows, {trial for _, trial in series.winners(data)}, most)
    pictures = []
    for i, (name, axis) in enumerate(series.axes(data).items()):
        found = series.points(rows, axis)
        if not any(math.isfinite(y) for _, ys, _ in found.values() for y in ys):
            continue
        figure = trial_plots.marginal(axis, found, looks, metric=metric, curve=modelled.get(name))
        pictures.append(picture(figure, f"marginal-{i}", f"{metric} against {name}"))
    return [Figures(pictures, "small")] if pictures else []
