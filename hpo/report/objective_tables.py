"""Two objectives and constraints as tables: hypervolumes, the front, what was infeasible. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hpo.report.tables import Cell, Column, Table, number
from hpo.results.pareto import Objective, Pareto
from hpo.results.values import Comparison


def objective_tables(comparison: Comparison) -> list[Table]:
    """Returns the tables of the constraints and of each task's objectives; none if the comparison has neither."""
    tables = [feasibility_table(comparison)] if comparison.constraints else []
    tables += [shares_table(comparison.objectives)] if len(comparison.objectives) > 1 else []
    for found in comparison.objectives:
        tables += [hypervolume_table(found), front_table(found)]
    return tables


def named(objective: Objective) -> str:
    """Returns an objective with the direction that is better."""
    return f"{objective.name}, {'larger' if objective.mode == 'max' else 'smaller'} is better"


def shares_table(tasks: Sequence[Pareto]) -> Table:
    """Returns one row a task, one column a method: the mean hypervolume as a share of the task's box."""
    methods = dict.fromkeys(m.method for task in tasks for m in task.methods)
    columns = (Column("task", "task", "text"), *(Column(method, f"share_{method}") for method in methods))
    shares = {task.study: {m.method: m.share for m in task.methods} for task in tasks}
    rows = tuple((task, *(found.get(method) for method in methods)) for task, found in shares.items())
    first, second = tasks[0].objectives
    return Table(f"Hypervolume in {first.name} and {second.name} by task, as a share of the task's box", columns, rows)


def hypervolume_table(found: Pareto) -> Table:
    """Returns one row a method: the hypervolume of its runs' fronts, and its part of the common front."""
    first, second = found.objectives
    columns = (
        Column("method", "method", "text"), Column("runs", "runs", "count"), Column("share of the box", "share"),
        Column("95 % interval", "ci95", "interval"), Column("hypervolume", "hypervolume"),
        Column("front", "front", "count"), Column("of them best of all", "contributes", "count"),
    )  # fmt: skip
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (m.method, m.runs, m.share, m.ci95, m.hypervolume, len(m.front), m.contributes)
        for m in found.methods
    )  # fmt: skip
    note = (
        f"{_better(first)}. {_better(second)}. Hypervolume: the area that a run's front dominates up to the reference point "
        f"({_point(found, found.reference)}), mean over complete runs; share of the box: the same divided by the box from "
        f"there to the best values found ({_point(found, found.ideal)}). Front: the configurations, trained for some epochs, "
        "that no other of the same method dominates. The methods optimized the study's metric alone."
    )
    return Table(f"{found.study}: hypervolume in {first.name} and {second.name}", columns, rows, note)


def _better(objective: Objective) -> str:
    return f"{'Larger' if objective.mode == 'max' else 'Smaller'} {objective.name} is better"


def _point(found: Pareto, values: tuple[float, float]) -> str:
    return ", ".join(f"{o.name} {number(v)}" for o, v in zip(found.objectives, values, strict=True))


def front_table(found: Pareto) -> Table:
    """Returns one row a configuration that no other of any method dominates, the best in the first objective first."""
    first, second = found.objectives
    columns = (
        Column("run", "run", "text"), Column(first.name, first.name), Column(second.name, second.name),
        Column("trial", "trial", "text"), Column("epoch", "epoch", "count"),
    )  # fmt: skip
    rows = tuple((f"{c.method}/{c.seed}", *c.values, c.trial, c.epoch) for c in found.front)
    return Table(f"{found.study}: the Pareto front of {first.name} and {second.name}", columns, rows)


def feasibility_table(comparison: Comparison) -> Table:
    """Returns one row a method: its trials, and how many of them no epoch made feasible."""
    trials, infeasible, empty = Counter[str](), Counter[str](), Counter[str]()
    for run in comparison.feasibility:
        trials[run.method] += run.trials
        infeasible[run.method] += len(run.infeasible)
        empty[run.method] += run.trials == len(run.infeasible)
    columns = (
        Column("method", "method", "text"), Column("trials", "trials", "count"),
        Column("infeasible", "infeasible", "count"), Column("share", "share", "percent"),
        Column("runs without a result", "empty", "count"),
    )  # fmt: skip
    rows = tuple((m, n, infeasible[m], infeasible[m] / n if n else None, empty[m]) for m, n in trials.items())
    note = (
        "A configuration is infeasible after an epoch at which a constrained metric is unknown or out of its bound; a trial, "
        "if it is so after each of its epochs. Trials are those with a value of the metric, summed over the runs."
    )
    return Table(f"Infeasible under {' and '.join(comparison.constraints)}", columns, rows, note)
