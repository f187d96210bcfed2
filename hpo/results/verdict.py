"""The verdict: what a comparison allows to be said of its methods, in sentences. Pure; computes no statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hpo.results.sign_flips import smallest_p
from hpo.results.statistics import fewest_pairs

if TYPE_CHECKING:
    from hpo.results.values import Comparison, PairTest


def verdict(comparison: Comparison) -> str:
    """Returns which methods are better than which, or that it is undecided and how many more blocks would help.

    Failures come first: why there is no result at all, or which final exams are missing.
    """
    if comparison.failure:
        return _sentence(comparison.failure)
    found = _standings(comparison)
    return f"{_sentence(comparison.failed_exams)} {found}" if comparison.failed_exams else found


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


def _standings(comparison: Comparison) -> str:
    methods = [m.method for m in comparison.methods if m.runs]
    if not methods:
        return "Undecided: no run is complete yet."
    if len(methods) == 1:
        return f"Only {methods[0]} has complete runs, so there is nothing to compare it with."
    won = {name: [t for t in comparison.tests if t.better == name] for name in methods}
    decided = sum(map(len, won.values()))
    if not decided:
        return _undecided(comparison)
    claims = "; ".join(_better_than(name, tests) for name, tests in won.items() if tests)
    blocks = _count(max(t.pairs for t in comparison.tests), *block_words(comparison.blocks))
    return f"{claims} in {comparison.metric} ({blocks}){_rest(len(comparison.tests) - decided)}.{_exam(comparison)}"


def block_words(kind: str) -> tuple[str, str]:
    """Returns the singular and the plural of `Comparison.blocks`."""
    words = {"seed": ("seed", "seeds"), "task": ("task", "tasks")}
    return words.get(kind, ("pair of task and seed", "pairs of task and seed"))


def _better_than(name: str, tests: Sequence[PairTest]) -> str:
    others = _and(t.worse or "" for t in tests)
    return f"{name} is better than {others} (adjusted p {_p(max(t.p_adjusted for t in tests))})"


def _rest(undecided: int) -> str:
    if not undecided:
        return ""
    return f"; {_count(undecided, 'other pair is', 'other pairs are')} undecided"


def _exam(comparison: Comparison) -> str:
    """Says whether the final exam confirms what validation decided. Further exam results stay in their table."""
    tested = {(t.a, t.b): t.verdict for t in comparison.test_tests}
    decided = [t for t in comparison.tests if t.better]
    if not tested:
        return ""
    confirmed = sum(tested.get((t.a, t.b)) == t.verdict for t in decided)
    if confirmed == len(decided):
        return " The final exam confirms this."
    if not confirmed:
        return " The final exam does not confirm this."
    return f" The final exam confirms {confirmed} of these {len(decided)} differences."


def _undecided(comparison: Comparison) -> str:
    seen = sorted({t.pairs for t in comparison.tests}) or [0]
    one, many = block_words(comparison.blocks)
    point, fewest = f"{comparison.point:g}", fewest_pairs()
    few = seen[-1] < fewest
    can = "can be shown to be better" if few else "is shown to be better"
    start = f"Undecided. With {_blocks(seen, one, many)} no method {can}"
    known = [t.more_blocks for t in comparison.tests if t.more_blocks is not None]
    more = max(known) if known and len(known) == len(comparison.tests) else None
    if more == 0:  # there are at least as many as can show anything
        return f"{start}, although a difference of {point} would probably have been detected."
    end = f": p cannot fall below {smallest_p(seen[-1]):g}, and at least {fewest} are needed." if few else "."
    if more is None:
        return start + end
    return f"{start}{end} Detecting a difference of {point} would take about {_count(more, f'more {one}', f'more {many}')}."


def _blocks(seen: Sequence[int], one: str, many: str) -> str:
    few, most = seen[0], seen[-1]
    return _count(most, one, many) if few == most else f"{few:,} to {_count(most, one, many)}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _and(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"<= {math.ceil(value * 1000) / 1000:g}"
