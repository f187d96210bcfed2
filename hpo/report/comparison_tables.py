"""What a comparison found, as tables. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from hpo.report.tables import Cell, Column, Table, p_value, render_tables
from hpo.results.statistics import ALPHA
from hpo.results.values import Comparison, MethodSummary, PairTest, Ranking, RunSummary


def render_comparison(found: Comparison, format: str, *, width: int | None = None, runs: bool = False) -> str:
    """The comparison in one of FORMATS. `width`: the terminal's columns, asked from it where None.

    `runs`: the winner of every run as well; CSV then has these alone.
    """
    if format == "json":
        return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    winners = [winners_table(found)] if runs else []
    tables = (winners or [csv_table(found)]) if format == "csv" else comparison_tables(found) + winners
    return render_tables(tables, format, lead=found.verdict, width=width)


def comparison_tables(comparison: Comparison) -> list[Table]:
    """What the methods found, what it cost, and every pair's test, on validation and in the exam."""
    tables = [found_table(comparison), cost_table(comparison)]
    if len(comparison.tasks) > 1:
        tables.insert(1, tasks_table(comparison))
    if comparison.tests:
        tables.append(tests_table(comparison.tests, f"Every pair of methods in {comparison.metric}", comparison))
    if comparison.test_tests:
        title = f"Every pair of methods in {comparison.test_metric}, the final exam"
        tables.append(tests_table(comparison.test_tests, title, comparison))
    if comparison.ranking is not None:
        tables.append(ranks_table(comparison.ranking))
    return tables


def csv_table(comparison: Comparison) -> Table:
    """All that is known of each method in one table, a row a method."""
    found, cost = found_table(comparison), cost_table(comparison)
    more = (Column("95 % interval", "optimism_ci95", "interval"), Column("95 % interval", "area_ci95", "interval"))
    rows = tuple(
        (*a, *b[1:], m.optimism_ci95, m.area_ci95)
        for a, b, m in zip(found.rows, cost.rows, comparison.methods, strict=True)
    )
    return Table(found.title, (*found.columns, *cost.columns[1:], *more), rows)


def winners_table(comparison: Comparison) -> Table:
    """One row a run: its winner on train, validation and test side by side, and what validation had promised too much."""
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
    return _table("The winner of every run", columns, "Optimism: how much better validation looked than the test.")


def _config(run: RunSummary) -> str:
    config = run.incumbent.config if run.incumbent else {}
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())


def ranks_table(ranking: Ranking) -> Table:
    """One row a pair of methods: how far their mean ranks lie apart, and Nemenyi's p."""
    told = ranking.p < ALPHA
    columns = (
        Column("methods", "methods", "text"), Column("mean ranks", "ranks", "text"),
        Column("apart", "apart", "rank"), Column("p", "p", "p"), Column("told apart", "told_apart", "text"),
    )  # fmt: skip
    rows = []
    for (a, b), p in ranking.pairwise.items():
        first, second = ranking.mean_ranks[a], ranking.mean_ranks[b]
        apart = abs(first - second)
        verdict = "yes" if told and apart > ranking.critical_difference else "no"
        rows.append((f"{a} − {b}", f"{first:.2f}, {second:.2f}", apart, p, verdict))
    note = (
        f"Friedman's test over {ranking.blocks} blocks: p {p_value(ranking.p)}"
        + (". " if told else ", so the ranks tell no methods apart. ")
        + f"Nemenyi's critical difference: {ranking.critical_difference:.2f}. It looks at ranks alone and finds less than "
        "the paired tests, which decide."
    )
    strong = frozenset(i for i, row in enumerate(rows) if row[-1] == "yes")
    return Table("Every pair of methods by mean rank", columns, tuple(rows), note, strong)


def found_table(comparison: Comparison) -> Table:
    """One row a method: validation over its runs, rank, exam, and how much validation had promised too much."""
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
    note = "Over complete runs: each run's best validation value (its incumbent), its mean and the mean's interval."
    if any(m.test_mean is not None for m in methods):
        note += " Optimism: how much better validation looked than the test, which is selection bias where positive."
    note = " ".join([note, *comparison.notes])
    title = f"{comparison.study}: {comparison.metric} after {comparison.budget_epochs:,} charged epochs a run"
    return _table(title, columns, note, _best(comparison))


def tasks_table(comparison: Comparison) -> Table:
    """One row a method, one column a task: the mean over its seeds."""
    columns = (Column("method", "method", "text"), *(Column(task, f"mean_{task}") for task in comparison.tasks))
    rows = tuple((m.method, *(m.task_means.get(task) for task in comparison.tasks)) for m in comparison.methods)
    return Table(f"Mean {comparison.metric} by task", columns, rows)


def cost_table(comparison: Comparison) -> Table:
    """One row a method: what it was charged for, how fast it was, what failed."""
    methods, target = comparison.methods, comparison.target
    aim = "target" if target is None else f"{target:.4g}"
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column("method", "method", "text"), [m.method for m in methods]),
        (Column("charged", "charged_epochs", "count"), [m.charged_epochs for m in methods]),
        (Column("shared", "shared_epochs", "count"), [m.shared_epochs for m in methods]),
        (Column("wasted", "wasted_epochs", "count"), [m.wasted_epochs for m in methods]),
        (Column("trials", "trials", "count"), [m.trials for m in methods]),
        (Column("failed", "failed_trials", "count"), [m.failed_trials for m in methods]),
        (Column("anytime mean", "area"), [m.area for m in methods]),
        (Column(f"epochs to {aim}", "epochs_to_target", "count"), [m.epochs_to_target for m in methods]),
        (Column("reached it", "reached", "text"), [_reached(m, target) for m in methods]),
        (Column("error drop", "error_drop", "percent"), [m.error_drop for m in methods]),
        (Column("training", "train_seconds", "seconds"), [m.train_seconds for m in methods]),
        (Column(f"alone on {comparison.workers}", "wall_seconds", "seconds"), [m.wall_seconds for m in methods]),
    ]
    note = (
        "Epochs over all runs; shared: also charged to another run and trained once; wasted: trained again after a "
        "fault, charged to nobody. Anytime mean: mean height of the curve of the best value so far. Times a run: "
        f"training summed over all workers, and as it would have been alone on {_workers(comparison.workers)}, "
        "or fewer where its parallelism is less."
    )
    if any(m.error_drop is not None for m in methods):
        note += " Error drop: share of the default configuration's error that is gone."
    return _table("What it cost", columns, note)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _reached(method: MethodSummary, target: float | None) -> str | None:
    return None if target is None or not method.runs else f"{method.reached} of {method.runs}"


def _best(comparison: Comparison) -> frozenset[int]:
    """The methods that a test found better than another, and that none was found better than."""
    better = {test.better for test in comparison.tests} - {None}
    worse = {test.b if test.better == test.a else test.a for test in comparison.tests if test.better is not None}
    return frozenset(i for i, m in enumerate(comparison.methods) if m.method in better - worse)


def _table(
    title: str, columns: Sequence[tuple[Column, Sequence[Cell]]], note: str, strong: frozenset[int] = frozenset()
) -> Table:
    """The table without the columns that have nothing to say."""
    kept = [(column, cells) for column, cells in columns if any(cell is not None for cell in cells)]
    kept = kept or [columns[0]]
    rows = tuple(zip(*(cells for _, cells in kept), strict=True))
    return Table(title, tuple(column for column, _ in kept), rows, note, strong)


def tests_table(tests: Sequence[PairTest], title: str, comparison: Comparison) -> Table:
    """One row a pair of methods: difference, interval, p-values, and what they allow to say."""
    many = {"seed": "seeds", "task": "tasks"}.get(comparison.blocks, "pairs of task and seed")
    columns = (
        Column("methods", "methods", "text"), Column("verdict", "verdict", "text"), Column("difference", "difference"),
        Column("95 % interval", "ci95", "interval"), Column("p", "p", "p"), Column("p adjusted", "p_adjusted", "p"),
        Column("pairs", "pairs", "count"), Column(f"more {many.split()[0]} for {comparison.point:g}", "more_blocks", "count"),
    )  # fmt: skip
    rows = tuple(
        (f"{t.a} − {t.b}", f"{t.better} better" if t.better else t.verdict, t.difference, t.ci95, t.p, t.p_adjusted,
         t.pairs, t.more_blocks)
        for t in tests
    )  # fmt: skip
    note = (
        f"Paired over {many}: Wilcoxon's exact signed-rank test, p adjusted after Holm (number of pairs: {len(tests)}). "
        "Intervals are each pair's own: the adjusted p decides. "
        f"Last column: how many more would be needed to detect a difference of {comparison.point:g}."
    )
    return Table(title, columns, rows, note, frozenset(i for i, t in enumerate(tests) if t.better))
