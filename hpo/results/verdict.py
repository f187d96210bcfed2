"""The verdict: what a comparison allows to be said of its methods, in sentences. Pure; computes no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.results.phrases import below, between, block_words, count, joined, sentence
from hpo.results.sign_flips import smallest_p
from hpo.results.statistics import ALPHA, fewest_pairs

if TYPE_CHECKING:
    from hpo.results.values import Comparison, PairTest


def verdict(comparison: Comparison) -> str:
    """Returns which methods are better than which, or that it is undecided and how many more blocks would help.

    Failures come first: why there is no result at all, or which final exams are missing.
    """
    if comparison.failure:
        return sentence(comparison.failure)
    found = _standings(comparison)
    return f"{sentence(comparison.failed_exams)} {found}" if comparison.failed_exams else found


def _standings(comparison: Comparison) -> str:
    methods = [m.method for m in comparison.methods if m.runs]
    if not methods:
        return "Undecided: no run is complete yet."
    if len(methods) == 1:
        return f"Only {methods[0]} has complete runs, so there is nothing to compare it with."
    return _on_these_tasks(comparison) if comparison.task_tests else _in_general(comparison)


# -- over blocks --------------------------------------------------------------------------------------------------


def _in_general(comparison: Comparison) -> str:
    tests = comparison.tests
    won = {m.method: [t for t in tests if t.better == m.method] for m in comparison.methods}
    claims = [_better_than(name, mine) for name, mine in won.items() if mine]
    if not claims:
        return _undecided(comparison, {"": tests})
    blocks = count(max(t.pairs for t in tests), *block_words(comparison.blocks))
    rest = _rest(sum(t.better is None for t in tests))
    exam = _exam({"": tests}, {"": comparison.test_tests})
    return f"{'; '.join(claims)} in {comparison.metric} ({blocks}){rest}.{exam}"


def _better_than(name: str, tests: Sequence[PairTest]) -> str:
    others = joined(t.worse or "" for t in tests)
    return f"{name} is better than {others} (adjusted p {below(max(t.p_adjusted for t in tests))})"


def _rest(undecided: int) -> str:
    if not undecided:
        return ""
    return f"; {count(undecided, 'other pair is', 'other pairs are')} undecided"


# -- on few tasks -------------------------------------------------------------------------------------------------


def _on_these_tasks(comparison: Comparison) -> str:
    """Returns what each of a few tasks shows for itself, and where methods change their order."""
    tasks = comparison.task_tests
    of_pairs = list(zip(*tasks.values(), strict=True))
    orders = [_order(list(tasks), tests) for tests in of_pairs if any(t.better for t in tests)]
    if not orders:
        return _undecided(comparison, tasks)
    claims: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for winner, loser, where, p in orders:
        claims.setdefault((winner, where), []).append((loser, p))
    said = "; ".join(
        f"{winner} is better than {joined(loser for loser, _ in mine)} {where} (adjusted p {below(max(p for _, p in mine))})"
        for (winner, where), mine in claims.items()
    )
    seeds = between([t.pairs for tests in tasks.values() for t in tests if t.pairs], *block_words("seed"))
    return (
        f"On these {len(tasks)} tasks in {comparison.metric} ({seeds} each): {said}{_rest(len(of_pairs) - len(orders))}. "
        f"Other tasks may differ: at least {fewest_pairs()} are needed to tell."
        f"{_exam(tasks, comparison.test_task_tests)}"
    )


def _order(tasks: Sequence[str], tests: Sequence[PairTest]) -> tuple[str, str, str, float]:
    """Returns (winner, loser, where, largest p) of a pair's tests by task; `where` names the tasks that reverse the order."""
    a, b = tests[0].a, tests[0].b
    wins = [sum(t.better == name for t in tests) for name in (a, b)]
    winner, loser = (a, b) if wins[0] >= wins[1] else (b, a)
    shown = [task for task, t in zip(tasks, tests, strict=True) if t.better == winner]
    lost = [task for task, t in zip(tasks, tests, strict=True) if t.better == loser]
    gain = next(t.difference for t in tests if t.better == winner) or 0.0
    reverse = [
        task for task, t in zip(tasks, tests, strict=True) if t.better is None and (t.difference or 0.0) * gain < 0
    ]
    where = "on each" if len(shown) == len(tasks) else f"on {joined(shown)}"
    where += f", but worse on {joined(lost)}" if lost else ""
    where += f", with the means in the other order on {joined(reverse)}" if reverse else ""
    return winner, loser, where, max(t.p_adjusted for t in tests if t.better)


# -- undecided ----------------------------------------------------------------------------------------------------


def _undecided(comparison: Comparison, tables: Mapping[str, Sequence[PairTest]]) -> str:
    """Says that no pair is decided, whether any could be, and how many more blocks would help. `tables`: by task."""
    tests = [t for mine in tables.values() for t in mine]
    several = len(tables) > 1
    one, many = block_words("seed" if several else comparison.blocks)
    lowest = smallest_p(max((t.pairs for t in tests), default=0))
    few, point = lowest > ALPHA, f"{comparison.point:g}"
    seen = between([t.pairs for t in tests], one, many)
    where = f"On these {len(tables)} tasks with {seen} each" if several else f"With {seen}"
    start = f"Undecided. {where} no method {'can be shown' if few else 'is shown'} to be better"
    known = [t.more_blocks for t in tests if t.more_blocks is not None]
    more = max(known) if known and len(known) == len(tests) else None
    if more == 0:  # there are at least as many as can show anything
        return f"{start}, although a difference of {point} would probably have been detected."
    end = f": p cannot fall below {lowest:.3g}, and at least {fewest_pairs()} are needed." if few else "."
    if more is None:
        return start + end
    return (
        f"{start}{end} Detecting a difference of {point} would take about {count(more, f'more {one}', f'more {many}')}."
    )


# -- the exam -----------------------------------------------------------------------------------------------------


def _exam(said: Mapping[str, Sequence[PairTest]], exams: Mapping[str, Sequence[PairTest]]) -> str:
    """Says whether the final exam confirms what validation decided. Further exam results stay in their table."""
    tested = {(task, t.a, t.b): t.verdict for task, tests in exams.items() for t in tests}
    decided = {(task, t.a, t.b): t.verdict for task, tests in said.items() for t in tests if t.better}
    if not tested:
        return ""
    confirmed = sum(tested.get(pair) == found for pair, found in decided.items())
    if confirmed == len(decided):
        return " The final exam confirms this."
    if not confirmed:
        return " The final exam does not confirm this."
    return f" The final exam confirms {confirmed} of these {len(decided)} differences."
