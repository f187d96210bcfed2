"""The verdict in about five words, for tables of studies. Pure; computes no statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.results.phrases import block_words, count
from hpo.results.statistics import fewest_pairs
from hpo.results.verdict import EQUIVALENT
from hpo.text import cut

if TYPE_CHECKING:
    from hpo.results.values import Comparison, PairTest

LONGEST = 24  # characters of a method's label

FAILED = "no result: trials failed"
EARLY = "too early to say"
ALONE = "nothing to compare with"
ENOUGH = "undecided: no difference found"


def brief(comparison: Comparison) -> str:
    """Returns the verdict in a few words, such as "asha better than random" or "undecided: 3 more seeds"."""
    if comparison.failure:
        return FAILED
    if len(comparison.methods) < 2:
        return ALONE
    if sum(method.runs > 0 for method in comparison.methods) < 2:
        return EARLY
    tests = _tests(comparison)
    wins = Counter(test.better for test in tests if test.better)
    if wins:
        return _better(tests, wins, comparison)
    same = [test for test in tests if test.verdict == EQUIVALENT]
    if same and len(same) == len(tests):
        return f"{_name(same[0].a)} equivalent to {_name(same[0].b)}" if len(same) == 1 else "all methods equivalent"
    return _undecided(tests, comparison)


def _tests(comparison: Comparison) -> list[PairTest]:
    """Returns the tests that decide: of pairs, on each task where the tasks are too few for blocks."""
    if comparison.task_tests:
        return [test for tests in comparison.task_tests.values() for test in tests]
    return list(comparison.tests)


def _better(tests: Sequence[PairTest], wins: Counter[str], comparison: Comparison) -> str:
    """Names the method that beats most others and none beats, and whom it beats."""
    beaten = {test.worse for test in tests if test.worse}
    best = max(wins, key=lambda name: (name not in beaten, wins[name]))
    losers = list(dict.fromkeys(test.worse for test in tests if test.better == best and test.worse))
    others = sum(method.method != best for method in comparison.methods)
    if best in beaten:
        return f"{_name(best)} ahead on some tasks"
    if len(losers) == 1:
        return f"{_name(best)} better than {_name(losers[0])}"
    whom = "all others" if len(losers) == others else f"{len(losers)} others"
    return f"{_name(best)} better than {whom}"


def _undecided(tests: Sequence[PairTest], comparison: Comparison) -> str:
    """Tells how many more blocks would help, as far as that is known."""
    words = block_words("seed" if comparison.task_tests else comparison.blocks)
    missing = fewest_pairs() - max((test.pairs for test in tests), default=0)
    known = [test.more_blocks for test in tests if test.more_blocks is not None]
    more = max([missing, *known])
    if more > 0:
        return f"undecided: {count(more, f'more {words[0]}', f'more {words[1]}')}"
    return ENOUGH if known and len(known) == len(tests) else "undecided"


def _name(label: str) -> str:
    return cut(label, LONGEST)
