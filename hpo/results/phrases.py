"""The phrases of which verdicts are made: counts, lists, p values. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def sentence(clause: str) -> str:
    """Returns a clause with a capital letter and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."


def block_words(kind: str) -> tuple[str, str]:
    """Returns the singular and the plural of `Comparison.blocks`."""
    return kind, f"{kind}s"


def count(number: int, one: str, many: str) -> str:
    """Returns a number with its noun: 1 seed, 1,200 seeds."""
    return f"{number:,} {one if number == 1 else many}"


def between(numbers: Sequence[int], one: str, many: str) -> str:
    """Returns the least and the largest number with their noun: 4 to 8 seeds; 4 seeds if they are the same."""
    few, most = min(numbers, default=0), max(numbers, default=0)
    return count(most, one, many) if few == most else f"{few:,} to {count(most, one, many)}"


def joined(names: Iterable[str]) -> str:
    """Returns a list in words: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def below(p: float) -> str:
    """Returns a bound on p, rounded up to three decimals."""
    return "< 0.001" if p < 0.001 else f"<= {math.ceil(p * 1000) / 1000:g}"
