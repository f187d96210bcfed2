"""The tables of pairs of methods: their tests on validation data and in the final exam, and their mean ranks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.report.tables import Cell, Column, Table, p_value
from hpo.results.phrases import block_words, number, span
from hpo.results.values import Comparison, PairTest, Ranking

VERDICTS = ("a better", "equivalent", "b better")

BRIEF = ("task", "methods", "verdict", "difference", "ci95", "p_adjusted", "chances", "more_blocks", "exam_verdict")

Named = tuple[Column, Sequence[Cell]]


def pair_tables(comparison: Comparison, *, brief: bool = False) -> list[Table]:
    """Returns the tables of the tests, of each task's where they decide, and of the mean ranks where there are enough blocks.

    `brief`: with the columns of the tests that fit a terminal.
    """
    tables = [tests_table(comparison)] if comparison.tests else []
    if any(comparison.task_tests.values()):
        tables.append(task_tests_table(comparison))
    if brief:
        tables = [_brief(table, comparison) for table in tables]
    return tables if comparison.ranking is None else [*tables, ranks_table(comparison.ranking, comparison.tests)]


def tests_table(comparison: Comparison) -> Table:
    """Returns one row a pair of methods: its test on validation data and, beside it, the same test in the final exam."""
    tests, many = comparison.tests, block_words(comparison.blocks)[1]
    columns = [_pairs(tests), *_tested(tests, many, comparison), *_exam(comparison.test_tests)]
    note = f"Paired over {many}: {_note(len(tests), many, comparison)}"
    return _table(f"Every pair of methods in {_metrics(comparison)}", columns, note, tests)


def task_tests_table(comparison: Comparison) -> Table:
    """Returns one row a task and pair of methods, as in `tests_table`."""
    tests, exams = _listed(comparison.task_tests), _listed(comparison.test_task_tests)
    tasks: list[Cell] = [task for task, mine in comparison.task_tests.items() for _ in mine]
    columns = [
        (Column("task", "task", "text"), tasks), _pairs(tests), *_tested(tests, "seeds", comparison), *_exam(exams),
    ]  # fmt: skip
    note = (
        "Paired over seeds: each row is about its own task and says nothing about others. "
        f"Tested are {_note(len(tests), 'seeds', comparison)}"
    )
    return _table(f"Every pair of methods on each task in {_metrics(comparison)}", columns, note, tests)


def _brief(table: Table, comparison: Comparison) -> Table:
    """Returns the table with the columns that say what was decided; the report and the other formats have all."""
    kept = [i for i, column in enumerate(table.columns) if column.key in BRIEF]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    columns = tuple(table.columns[i] for i in kept)
    note = (
        "Flipped signs of the differences, adjusted for all rows together (step-down max-T); the report and the other formats "
        f"have more columns. {_odds(comparison)}"
    )
    return Table(table.title, columns, rows, note, table.strong)


def ranks_table(ranking: Ranking, tests: Sequence[PairTest]) -> Table:
    """Returns one row a pair of methods: the difference of their mean ranks, Nemenyi's p, and the verdict of `tests`."""
    columns = (
        Column("methods", "methods", "text"), Column("mean ranks", "ranks", "text"),
        Column("difference", "apart", "rank"), Column("p", "p", "p"), Column("verdict", "verdict", "text"),
    )  # fmt: skip
    said = {(t.a, t.b): _said(t) for t in tests}
    rows = []
    for (a, b), p in ranking.pairwise.items():
        first, second = ranking.mean_ranks[a], ranking.mean_ranks[b]
        rows.append((f"{a} − {b}", f"{first:.2f}, {second:.2f}", abs(first - second), p, said[a, b]))
    note = (
        f"Friedman's test over {ranking.blocks} blocks: p {p_value(ranking.p)}. Nemenyi's critical difference: "
        f"{ranking.critical_difference:.2f}. These tests and the p of this table use only the ranks; the verdict is that "
        "of the paired tests."
    )
    return Table("Every pair of methods by mean rank", columns, tuple(rows), note, _decided(tests))


# -- columns ------------------------------------------------------------------------------------------------------


def _pairs(tests: Sequence[PairTest]) -> Named:
    return Column("methods", "methods", "text"), [f"{t.a} − {t.b}" for t in tests]


def _tested(tests: Sequence[PairTest], many: str, comparison: Comparison) -> list[Named]:
    more = f"more {many}" if comparison.point is None else f"more {many} for {comparison.point:.3g}"
    return [
        (Column("verdict", "verdict", "text"), [_said(t) for t in tests]),
        (Column("difference", "difference"), [t.difference for t in tests]),
        (Column("95 % interval", "ci95", "interval"), [t.ci95 for t in tests]),
        (Column("p", "p", "p"), [t.p for t in tests]),
        (Column("p adjusted", "p_adjusted", "p"), [t.p_adjusted for t in tests]),
        (Column("signed ranks", "p_signed_rank_adjusted", "p"), [t.p_signed_rank_adjusted for t in tests]),
        (Column("p equivalent", "p_equivalent", "p"), [t.p_equivalent for t in tests]),
        (Column("chances", "chances", "text"), [_chances(t) for t in tests]),
        (Column("pairs", "pairs", "count"), [t.pairs for t in tests]),
        (Column(more, "more_blocks", "text"), [_more(t) for t in tests]),
    ]


def _exam(tests: Sequence[PairTest]) -> list[Named]:
    """The same tests in the final exam: what they decide, and by how much."""
    if not tests:
        return []
    return [
        (Column("exam: verdict", "exam_verdict", "text"), [_said(t) for t in tests]),
        (Column("exam: difference", "exam_difference"), [t.difference for t in tests]),
        (Column("exam: 95 % interval", "exam_ci95", "interval"), [t.ci95 for t in tests]),
        (Column("exam: p adjusted", "exam_p_adjusted", "p"), [t.p_adjusted for t in tests]),
        (Column("exam: p equivalent", "exam_p_equivalent", "p"), [t.p_equivalent for t in tests]),
        (Column("exam: pairs", "exam_pairs", "count"), [t.pairs for t in tests]),
    ]


def _said(test: PairTest) -> str:
    return f"{test.better} better" if test.better else test.verdict


def _chances(test: PairTest) -> str | None:
    return None if test.chances is None else ", ".join(f"{100 * test.chances[one]:.0f}" for one in VERDICTS) + " %"


def _more(test: PairTest) -> str | None:
    if test.more_blocks is None or test.more_blocks_range is None:
        return None
    return f"{number(test.more_blocks)} ({span(*test.more_blocks_range)})"


def _metrics(comparison: Comparison) -> str:
    return comparison.metric + (f" and in {comparison.test_metric}" if comparison.test_tests else "")


def _note(rows: int, many: str, comparison: Comparison) -> str:
    note = (
        f"flipped signs of the mean difference, adjusted for all {rows} rows together (step-down max-T). The adjusted p "
        "decides; intervals are not adjusted. Signed ranks: the p of Wilcoxon's test with Holm's correction, for comparison."
    )
    if comparison.test_tests:
        note += f" The columns named exam: the same tests on the final exam's {comparison.test_metric}."
    if comparison.point is None:
        return f"{note} {_odds(comparison)}"
    size = f"{comparison.point:.3g}"
    named = comparison.difference
    why = " (the default for accuracies)" if named is None else f" ({named} of the mean)" if "%" in named else ""
    return (
        f"{note} p equivalent: two one-sided tests, adjusted likewise, that the difference is smaller than {size}{why}. "
        f"{_odds(comparison)} More {many}: further ones needed to detect a difference of {size} on validation data, with "
        "their 80 % interval."
    )


def _odds(comparison: Comparison) -> str:
    """What the chances are of, or that nobody can tell without a difference that matters."""
    if comparison.point is None:
        return (
            f"No difference is named that matters in {comparison.metric}, so that no pair can be equivalent: name one with "
            "--difference, or as the study's `difference`."
        )
    size = f"{comparison.point:.3g}"
    return f"Chances: that the first is better by more than {size}, that they differ by less, that the second is."


def _table(title: str, columns: Sequence[Named], note: str, tests: Sequence[PairTest]) -> Table:
    heads, cells = zip(*columns, strict=True)
    return Table(title, heads, tuple(zip(*cells, strict=True)), note, _decided(tests))


def _listed(tests: Mapping[str, Sequence[PairTest]]) -> list[PairTest]:
    return [test for mine in tests.values() for test in mine]


def _decided(tests: Sequence[PairTest]) -> frozenset[int]:
    return frozenset(i for i, t in enumerate(tests) if t.better)
