"""A comparison as tables, and rendered in every format. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

from hpo.report.aggregate_tables import aggregate_tables
from hpo.report.objective_tables import objective_tables
from hpo.report.pair_tables import pair_tables
from hpo.report.reference import with_row
from hpo.report.tables import Cell, Column, Table, render_tables
from hpo.results.phrases import budgets
from hpo.results.statistics import ALPHA
from hpo.results.values import Comparison, MethodSummary, RunSummary
from hpo.results.verdict import lead

SHORT = ("method", "runs", "mean", "ci95", "mean_rank", "test_mean")  # columns of `found_table` for a first look


def render_comparison(
    found: Comparison,
    format: str,
    *,
    width: int | None = None,
    runs: bool = False,
    short: bool = False,
    figure: str = "",
) -> str:
    """Renders the comparison in one of FORMATS. `width`: the terminal's columns (default: ask the terminal).

    `runs`: adds the winner of every run; CSV then holds only these. On a terminal, `short` leaves the table of results and
    what was asked for, and `figure` stands before the tables.
    """
    if format == "json":
        return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    winners = [winners_table(found)] if runs else []
    if format == "csv":
        tables = winners or [csv_table(found), *objective_tables(found)]
    elif format == "table" and short:
        tables = [*short_tables(found), *objective_tables(found), *winners]
    else:
        tables = comparison_tables(found, brief=format == "table") + aggregate_tables(found) + winners
    return render_tables(tables, format, lead=lead(found), width=width, figure=figure)


def short_tables(comparison: Comparison) -> list[Table]:
    """Returns the table of results with what a reader needs first, and of several tasks their means."""
    whole = found_table(comparison)
    trials = Column("trials", "trials", "count"), tuple(m.trials for m in comparison.methods)
    columns = [(c, [row[i] for row in whole.rows]) for i, c in enumerate(whole.columns) if c.key in SHORT]
    columns = [(replace(c, title="mean") if c.key == "mean" else c, cells) for c, cells in columns]
    interval = ", with its 95 % interval" if any(m.ci95 for m in comparison.methods) else ""
    note = f"Mean: of each run's best validation value{interval}"
    if any(m.test_mean is not None for m in comparison.methods):
        note += "; mean test: of the winners, on data that no method has seen"
    note = " ".join([f"{note}.", *comparison.notes, "--all-tables adds costs, every pair of methods, ranks and more."])
    table = _table(whole.title, [*columns[:2], trials, *columns[2:]], note, whole.strong)
    return [table, tasks_table(comparison)] if len(comparison.tasks) > 1 else [table]


def comparison_tables(comparison: Comparison, *, brief: bool = False) -> list[Table]:
    """Returns the tables of results, cost, of every pair's tests (`brief`: for a terminal), of objectives and constraints."""
    return [*method_tables(comparison), *pair_tables(comparison, brief=brief), *objective_tables(comparison)]


def method_tables(comparison: Comparison) -> list[Table]:
    """Returns the tables with one row a method: results, several tasks' means, cost."""
    tables = [with_row(found_table(comparison), comparison), cost_table(comparison)]
    if len(comparison.tasks) > 1:
        tables.insert(1, tasks_table(comparison, reference=True))
    return tables


def csv_table(comparison: Comparison) -> Table:
    """Returns all figures of the methods in one table, one row a method."""
    found, cost = found_table(comparison), cost_table(comparison)
    more = (
        Column("95 % interval", "optimism_ci95", "interval"), Column("95 % interval", "area_ci95", "interval"),
        Column("interquartile mean", "iqm"), Column("95 % interval", "iqm_ci95", "interval"),
        Column("far runs", "far_runs", "count"),
    )  # fmt: skip
    middle = {m.method: (m.iqm, m.ci95) for m in (comparison.aggregates.methods if comparison.aggregates else ())}
    rows = tuple(
        (*a, *b[1:], m.optimism_ci95, m.area_ci95, *middle.get(m.method, (None, None)), m.far_runs)
        for a, b, m in zip(found.rows, cost.rows, comparison.methods, strict=True)
    )
    return Table(found.title, (*found.columns, *cost.columns[1:], *more), rows)


def winners_table(comparison: Comparison) -> Table:
    """Returns one row a run: its winner on training, validation and test data, and validation's optimism."""
    sign = 1 if comparison.mode == "max" else -1
    runs = [run for run in comparison.runs if run.incumbent is not None]
    tested = [None if math.isnan(value := run.test(comparison.test_metric)) else value for run in runs]
    several = len(comparison.tasks) > 1
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column("run", "run", "text"), [f"{run.method}/{run.seed}" for run in runs]),
        (Column("task", "task", "text"), [run.study if several else None for run in runs]),
        (Column("status", "status", "text"), [run.status for run in runs]),
        (Column("charged", "charged_epochs", "count"), [run.charged_epochs for run in runs]),
        (Column("epoch", "epoch", "count"), [run.incumbent.epoch if run.incumbent else None for run in runs]),
        (Column("train", "train"), [None if math.isnan(run.train) else run.train for run in runs]),
        (Column(f"validation ({comparison.metric})", "validation"), [run.value for run in runs]),
        (Column("test", "test"), tested),
        (
            Column("optimism", "optimism"),
            [None if test is None else sign * (run.value - test) for run, test in zip(runs, tested, strict=True)],
        ),
        (Column("configuration", "config", "text"), [_config(run) for run in runs]),
    ]
    return _table(
        "The winner of every run", columns, "Optimism: how much better the validation value is than the test value."
    )


def _config(run: RunSummary) -> str:
    config = run.incumbent.config if run.incumbent else {}
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())


def found_table(comparison: Comparison) -> Table:
    """Returns one row a method: validation over its runs, mean rank, final exam, and validation's optimism."""
    methods = comparison.methods
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column("method", "method", "text"), [m.method for m in methods]),
        (Column("runs", "runs", "count"), [m.runs for m in methods]),
        (Column(f"mean {comparison.metric}", "mean"), [m.mean for m in methods]),
        (Column("95 % interval", "ci95", "interval"), [m.ci95 for m in methods]),
        (Column("best", "best"), [m.best for m in methods]),
        (Column("mean rank", "mean_rank", "rank"), [m.mean_rank for m in methods]),
        (Column("mean train", "train_mean"), [m.train_mean for m in methods]),
        (Column("mean test", "test_mean"), [m.test_mean for m in methods]),
        (Column("95 % interval", "test_ci95", "interval"), [m.test_ci95 for m in methods]),
        (Column("optimism", "optimism"), [m.optimism for m in methods]),
    ]
    note = (
        "Each complete run counts with its best validation value (its incumbent); the interval is that of the mean"
        f"{_unseen(methods)}."
    )
    if any(m.test_mean is not None for m in methods):
        note += " Optimism: how much better validation is than the test; a positive value is selection bias."
    note = " ".join([note, *comparison.notes])
    title = (
        f"{comparison.title}: {comparison.metric} after {budgets(comparison.budgets, comparison.cost_budgets)} per run"
    )
    return _table(title, columns, note, _best(comparison))


def _unseen(methods: Sequence[MethodSummary]) -> str:
    """Says what no interval can cover: failures that are rare enough to be missing among the runs."""
    share, runs = max(((m.unseen_failures or 0.0, m.runs) for m in methods if m.ci95), default=(0.0, 0))
    if share <= ALPHA:
        return ""
    chance = f"{runs} runs can all succeed if up to {100 * share:.0f} % of runs fail"
    return f" and covers no failure that did not happen yet: {chance}"


def tasks_table(comparison: Comparison, *, reference: bool = False) -> Table:
    """Returns one row a task, one column a method: the mean over its seeds. `reference`: with random search's, too."""
    methods = {m.method: m.task_means for m in comparison.methods}
    if reference and comparison.reference:
        methods[comparison.reference.name] = comparison.reference.task_means
    columns = (Column("task", "task", "text"), *(Column(method, f"mean_{method}") for method in methods))
    rows = tuple((task, *(means.get(task) for means in methods.values())) for task in comparison.tasks)
    return Table(f"Mean {comparison.metric} by task", columns, rows)


def cost_table(comparison: Comparison) -> Table:
    """Returns one row a method: its charged epochs, its speed, its failures."""
    methods, target = comparison.methods, comparison.target
    aim = "target" if target is None else f"{target:.4g}"
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column("method", "method", "text"), [m.method for m in methods]),
        (Column("cost", "charged_cost"), [m.charged_cost if comparison.cost_budgets else None for m in methods]),
        (Column("charged", "charged_epochs", "count"), [m.charged_epochs for m in methods]),
        (Column("shared", "shared_epochs", "count"), [m.shared_epochs for m in methods]),
        (Column("wasted", "wasted_epochs", "count"), [m.wasted_epochs for m in methods]),
        (Column("trials", "trials", "count"), [m.trials for m in methods]),
        (Column("failed", "failed_trials", "count"), [m.failed_trials for m in methods]),
        (Column("anytime mean", "area"), [m.area for m in methods]),
        (Column(f"epochs to {aim}", "epochs_to_target", "count"), [m.epochs_to_target for m in methods]),
        (Column("reached", "reached", "text"), [_reached(m, target) for m in methods]),
        (Column("error drop", "error_drop", "percent"), [m.error_drop for m in methods]),
        (Column("training", "train_seconds", "seconds"), [m.train_seconds for m in methods]),
        (Column(f"alone on {comparison.workers}", "wall_seconds", "seconds"), [m.wall_seconds for m in methods]),
    ]
    note = (
        "Epochs are sums over all runs. Shared: also charged to another run, but trained once. Wasted: trained again "
        "after a fault and not charged. Anytime mean: mean height of the curve of the best value so far. Times are means "
        f"per run: training summed over all workers; alone, the time on {_workers(comparison.workers)}, or on fewer if "
        "the method's parallelism is lower."
    )
    if any(m.error_drop is not None for m in methods):
        note += " Error drop: how much of the default configuration's error is removed."
    return _table("Cost", columns, note)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _reached(method: MethodSummary, target: float | None) -> str | None:
    return None if target is None or not method.runs else f"{method.reached} of {method.runs}"


def _best(comparison: Comparison) -> frozenset[int]:
    """Returns the methods that beat another one in a test and lost to none."""
    better = {test.better for test in comparison.tests}
    worse = {test.worse for test in comparison.tests}
    return frozenset(i for i, m in enumerate(comparison.methods) if m.method in better - worse)


def _table(
    title: str, columns: Sequence[tuple[Column, Sequence[Cell]]], note: str, strong: frozenset[int] = frozenset()
) -> Table:
    """Makes a table without the columns that are empty in every row."""
    kept = [(column, cells) for column, cells in columns if any(cell is not None for cell in cells)]
    kept = kept or [columns[0]]
    rows = tuple(zip(*(cells for _, cells in kept), strict=True))
    return Table(title, tuple(column for column, _ in kept), rows, note, strong)
