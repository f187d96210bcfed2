"""The tables of aggregates over tasks and seeds: interquartile means, scales, probabilities of improvement. Pure."""

from __future__ import annotations

from hpo.report.tables import Cell, Column, Table
from hpo.results.aggregates import Aggregates
from hpo.results.values import Comparison

SCALE_NOTE = (
    "On each task, 0 is the median run of random search (without random search, of the worst method) and 1 is the best "
    "run of any method"
)


def aggregate_tables(comparison: Comparison) -> list[Table]:
    """Returns the tables of interquartile means, of the tasks' scales and of improvement; none without aggregates."""
    found = comparison.aggregates
    if found is None:
        return []
    tables = [means_table(found, comparison.metric)]
    if found.scales:
        tables.append(scales_table(found, comparison.metric))
    if found.improvements:
        tables.append(improvement_table(found))
    return tables


def means_table(found: Aggregates, metric: str) -> Table:
    """Returns one row a method: its interquartile mean with its interval."""
    unit = "normalized score" if found.scales else metric
    columns = (
        Column("method", "method", "text"), Column("runs", "runs", "count"), Column(f"interquartile mean {unit}", "iqm"),
        Column("95 % interval", "iqm_ci95", "interval"),
    )  # fmt: skip
    rows: tuple[tuple[Cell, ...], ...] = tuple((m.method, m.runs, m.iqm, m.ci95) for m in found.methods)
    drawn = "tasks and of seeds within them" if found.resampled == "tasks" else "seeds within each task"
    scope = "tasks like these" if found.resampled == "tasks" else "these tasks" if len(found.tasks) > 1 else "this task"
    note = (
        "The mean of the middle half of the runs: robust against the best and the worst quarter (Agarwal et al. 2021). "
        f"Interval: a bootstrap of {drawn}, with Student's quantile for the number of runs; it holds for {scope}."
        f"{_left_out(found)}"
    )
    return Table(f"Interquartile means over {found.blocks} runs a method", columns, rows, note)


def _left_out(found: Aggregates) -> str:
    if not found.left_out:
        return ""
    reason = "no seed that every method completed, or no run better than 0"
    return f" Left out: {', '.join(found.left_out)} ({reason})."


def scales_table(found: Aggregates, metric: str) -> Table:
    """Returns one row a task: the values of the metric that become 0 and 1."""
    columns = (Column("task", "task", "text"), Column(f"{metric} at 0", "zero"), Column(f"{metric} at 1", "one"))
    rows = tuple((task, scale.zero, scale.one) for task, scale in found.scales.items())
    return Table(
        "Normalized scores by task", columns, rows, f"{SCALE_NOTE}; scores between and beyond follow linearly."
    )


def improvement_table(found: Aggregates) -> Table:
    """Returns one row a pair of methods: the probability that a run of the first beats a run of the second."""
    columns = (
        Column("methods", "methods", "text"), Column("P(first is better)", "probability"),
        Column("95 % interval", "ci95", "interval"),
    )  # fmt: skip
    rows = tuple((f"{t.a} − {t.b}", t.probability, t.ci95) for t in found.improvements)
    note = (
        "Over all pairs of seeds, whichever they are, a mean over tasks; ties count half. It tells how often, not by how "
        "much, and decides nothing. Wilson's interval, which is conservative here."
    )
    return Table("Probability of improvement", columns, rows, note)
