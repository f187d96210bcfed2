"""The tables of pairs of methods: their tests on validation data and in the final exam, and their mean ranks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.report.tables import Cell, Column, Table, p_value
from hpo.results.statistics import ALPHA
from hpo.results.values import Comparison, PairTest, Ranking
from hpo.results.verdict import block_words


def pair_tables(comparison: Comparison) -> list[Table]:
    """Returns the table of the tests and, where there are enough blocks, that of the mean ranks."""
    tables = [tests_table(comparison)] if comparison.tests else []
    return tables if comparison.ranking is None else [*tables, ranks_table(comparison.ranking)]


def tests_table(comparison: Comparison) -> Table:
    """Returns one row a pair of methods: its test on validation data and, beside it, the same test in the final exam."""
    tests, many = comparison.tests, block_words(comparison.blocks)[1]
    columns = [
        (Column("methods", "methods", "text"), [f"{t.a} − {t.b}" for t in tests]),
        *_columns(tests, "", ""),
        (
            Column(f"more {many.split()[0]} for {comparison.point:g}", "more_blocks", "count"),
            [t.more_blocks for t in tests],
        ),
    ]
    title = f"Every pair of methods in {comparison.metric}"
    note = (
        f"Paired over {many}: Wilcoxon's exact signed-rank test, with Holm's correction for the number of rows "
        f"({len(tests)}). The adjusted p decides; intervals are not adjusted. More {many}: how many further ones are needed "
        f"to detect a difference of {comparison.point:g} on validation data."
    )
    if comparison.test_tests:
        columns += _columns(comparison.test_tests, "exam: ", "exam_")
        title += f" and in {comparison.test_metric}"
        note += f" The columns named exam: the same on the final exam's {comparison.test_metric}."
    heads, cells = zip(*columns, strict=True)
    strong = frozenset(i for i, t in enumerate(tests) if t.better)
    return Table(title, heads, tuple(zip(*cells, strict=True)), note, strong)


def _columns(tests: Sequence[PairTest], title: str, key: str) -> list[tuple[Column, Sequence[Cell]]]:
    return [
        (Column(f"{title}verdict", f"{key}verdict", "text"), [f"{t.better} better" if t.better else t.verdict for t in tests]),
        (Column(f"{title}difference", f"{key}difference"), [t.difference for t in tests]),
        (Column(f"{title}95 % interval", f"{key}ci95", "interval"), [t.ci95 for t in tests]),
        (Column(f"{title}p", f"{key}p", "p"), [t.p for t in tests]),
        (Column(f"{title}p adjusted", f"{key}p_adjusted", "p"), [t.p_adjusted for t in tests]),
        (Column(f"{title}pairs", f"{key}pairs", "count"), [t.pairs for t in tests]),
    ]  # fmt: skip


def ranks_table(ranking: Ranking) -> Table:
    """Returns one row a pair of methods: the difference of their mean ranks, and Nemenyi's p."""
    differ = ranking.p < ALPHA
    columns = (
        Column("methods", "methods", "text"), Column("mean ranks", "ranks", "text"),
        Column("difference", "apart", "rank"), Column("p", "p", "p"), Column("differ", "told_apart", "text"),
    )  # fmt: skip
    rows = []
    for (a, b), p in ranking.pairwise.items():
        first, second = ranking.mean_ranks[a], ranking.mean_ranks[b]
        apart = abs(first - second)
        verdict = "yes" if differ and apart > ranking.critical_difference else "no"
        rows.append((f"{a} − {b}", f"{first:.2f}, {second:.2f}", apart, p, verdict))
    note = (
        f"Friedman's test over {ranking.blocks} blocks: p {p_value(ranking.p)}"
        + (". " if differ else ", so no methods differ by their ranks. ")
        + f"Nemenyi's critical difference: {ranking.critical_difference:.2f}. This test uses only the ranks and has less "
        "power than the paired tests, which decide."
    )
    strong = frozenset(i for i, row in enumerate(rows) if row[-1] == "yes")
    return Table("Every pair of methods by mean rank", columns, tuple(rows), note, strong)
