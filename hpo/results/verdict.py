"""The verdict: what a comparison allows to be said of its methods, in sentences. Pure; computes no statistics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hpo.results.phrases import about, below, between, block_words, budgets, count, joined, sentence, span
from hpo.results.sign_flips import smallest_p
from hpo.results.statistics import ALPHA, fewest_pairs

if TYPE_CHECKING:
    from hpo.results.values import Comparison, PairTest

EQUIVALENT = "equivalent"
ASKED = (
    "Name the smallest difference that matters (difference in the study, or --difference) to learn how many more would "
    "detect it."
)


def verdict(comparison: Comparison) -> str:
    """Returns which methods are better than which, or that it is undecided and how many more blocks would help.

    Failures come first: why there is no result at all, or which final exams are missing.
    """
    if comparison.failure:
        return sentence(comparison.failure)
    found = _standings(comparison)
    if comparison.budget_epochs is None and comparison.budget_cost is None:
        found += f" The budgets differ: {budgets(comparison.budgets, comparison.cost_budgets)} per run."
    return f"{sentence(comparison.failed_exams)} {found}" if comparison.failed_exams else found


def lead(comparison: Comparison) -> str:
    """Returns the verdict, and the state of each study that is not complete, where it does not say the same."""
    known = f"{comparison.failure} {comparison.failed_exams}"
    states = [
        item for item in comparison.states.items() if item[1].word != "complete" and item[1].sentence not in known
    ]
    told = [f"{name}: {state}" if len(comparison.states) > 1 else str(state) for name, state in states]
    return " ".join([comparison.verdict, *told])


def _standings(comparison: Comparison) -> str:
    methods = [m.method for m in comparison.methods if m.runs]
    if not methods:
        return "Undecided: no run is complete yet."
    if len(methods) == 1:
        return f"Only {methods[0]} has complete runs, so there is nothing to compare it with."
    return _on_these_tasks(comparison) if comparison.task_tests else _in_general(comparison)


# -- claims -------------------------------------------------------------------------------------------------------


class _Claim(NamedTuple):
    """A method, what it is compared to which other one, on which tasks (empty: in general), by which adjusted p."""

    name: str
    relation: str
    other: str
    where: str
    p: float


def _in_general(comparison: Comparison) -> str:
    tests = comparison.tests
    claims = [claim for t in tests for claim in _of_test(t, comparison)]
    if not claims:
        return _undecided(comparison, {"": tests})
    blocks = count(max(t.pairs for t in tests), *block_words(comparison.blocks))
    said = f"{_told(claims)} in {comparison.metric} ({blocks}){_rest(len(tests) - len(claims))}."
    return said + _exam({"": tests}, {"": comparison.test_tests})


def _of_test(t: PairTest, comparison: Comparison) -> list[_Claim]:
    if t.verdict == EQUIVALENT:
        return [_same(t, "", t.p_equivalent, comparison)]
    return [_Claim(t.better, "better than", t.worse or "", "", t.p_adjusted)] if t.better else []


def _same(t: PairTest, where: str, p: float | None, comparison: Comparison) -> _Claim:
    within = f" within {comparison.difference or f'{comparison.point:.3g}'}{where}"
    return _Claim(t.a, "equivalent to", t.b, within, p or 0.0)


def _on_these_tasks(comparison: Comparison) -> str:
    """Returns what each of a few tasks shows for itself, and where methods change their order."""
    tasks = comparison.task_tests
    of_pairs = [dict(zip(tasks, tests, strict=True)) for tests in zip(*tasks.values(), strict=True)]
    found = [_of_pair(tests, comparison) for tests in of_pairs]
    if not any(found):
        return _undecided(comparison, tasks)
    claims = [claim for some in found for claim in some]
    seeds = between([t.pairs for tests in tasks.values() for t in tests if t.pairs], *block_words("seed"))
    return (
        f"On these {len(tasks)} tasks in {comparison.metric} ({seeds} each): {_told(claims)}{_rest(found.count([]))}. "
        f"Other tasks may differ: at least {fewest_pairs()} are needed to tell."
        f"{_exam(tasks, comparison.test_task_tests)}"
    )


def _of_pair(tests: Mapping[str, PairTest], comparison: Comparison) -> list[_Claim]:
    """Returns what a pair's tests by task show: which is better where, with the tasks that reverse the order."""
    claims = []
    if any(t.better for t in tests.values()):
        claims.append(_order(tests))
    if same := [task for task, t in tests.items() if t.verdict == EQUIVALENT]:
        p = max(tests[task].p_equivalent or 0.0 for task in same)
        claims.append(_same(tests[same[0]], _on(same, tests), p, comparison))
    return claims


def _order(tests: Mapping[str, PairTest]) -> _Claim:
    a, b = next((t.a, t.b) for t in tests.values())
    wins = [sum(t.better == name for t in tests.values()) for name in (a, b)]
    winner, loser = (a, b) if wins[0] >= wins[1] else (b, a)
    gain = next(t.difference for t in tests.values() if t.better == winner) or 0.0
    where = _on([task for task, t in tests.items() if t.better == winner], tests)
    if lost := [task for task, t in tests.items() if t.better == loser]:
        where += f", but worse on {joined(lost)}"
    if reverse := [task for task, t in tests.items() if not t.better and (t.difference or 0.0) * gain < 0]:
        where += f", with the means in the other order on {joined(reverse)}"
    return _Claim(winner, "better than", loser, where, max(t.p_adjusted for t in tests.values() if t.better))


def _on(some: Sequence[str], tasks: Collection[str]) -> str:
    return " on each" if len(some) == len(tasks) else f" on {joined(some)}"


def _told(claims: Sequence[_Claim]) -> str:
    """Tells claims as clauses; those of one method that differ only in the other one are told together."""
    together: dict[tuple[str, str, str], list[_Claim]] = {}
    for claim in sorted(claims, key=lambda claim: claim.relation):
        together.setdefault((claim.name, claim.relation, claim.where), []).append(claim)
    return "; ".join(
        f"{name} is {relation} {joined(one.other for one in mine)}{where} (adjusted p {below(max(one.p for one in mine))})"
        for (name, relation, where), mine in together.items()
    )


def _rest(undecided: int) -> str:
    if not undecided:
        return ""
    return f"; {count(undecided, 'other pair is', 'other pairs are')} undecided"


# -- undecided ----------------------------------------------------------------------------------------------------


def _undecided(comparison: Comparison, tables: Mapping[str, Sequence[PairTest]]) -> str:
    """Says that no pair is decided, whether any could be, and how many more blocks would help. `tables`: by task."""
    tests = [t for mine in tables.values() for t in mine]
    several = len(tables) > 1
    one, many = block_words("seed" if several else comparison.blocks)
    lowest = smallest_p(max((t.pairs for t in tests), default=0))
    few = lowest > ALPHA
    seen = between([t.pairs for t in tests], one, many)
    where = f"On these {len(tables)} tasks with {seen} each" if several else f"With {seen}"
    start = f"Undecided. {where} no method {'can be shown' if few else 'is shown'} to be better"
    end = f": p cannot fall below {lowest:.3g}, and at least {fewest_pairs()} are needed." if few else "."
    if comparison.point is None:
        return f"{start}{end} {ASKED}" if tests else start + end
    known = [(t.more_blocks, t.more_blocks_range) for t in tests if t.more_blocks is not None and t.more_blocks_range]
    if not known or len(known) < len(tests):
        return start + end
    more, (low, high) = max(known)
    if more == 0:  # there are at least as many as can show anything
        return f"{start}, although a difference of {comparison.point:.3g} would probably have been detected."
    spread = "" if low == high else f" ({span(low, high)}, as far as the spread of results is known)"
    return (
        f"{start}{end} Detecting a difference of {comparison.point:.3g} would take "
        f"{about(more, f'more {one}', f'more {many}')}{spread}."
    )


# -- the exam -----------------------------------------------------------------------------------------------------


def _exam(said: Mapping[str, Sequence[PairTest]], exams: Mapping[str, Sequence[PairTest]]) -> str:
    """Says whether the final exam confirms what validation decided. Further exam results stay in their table."""
    tested = {(task, t.a, t.b): t.verdict for task, tests in exams.items() for t in tests}
    decided = {(task, t.a, t.b): t.verdict for task, tests in said.items() for t in tests if t.better}
    if not tested or not decided:
        return ""
    confirmed = sum(tested.get(pair) == found for pair, found in decided.items())
    if confirmed == len(decided):
        return " The final exam confirms this."
    if not confirmed:
        return " The final exam does not confirm this."
    return f" The final exam confirms {confirmed} of these {len(decided)} differences."
