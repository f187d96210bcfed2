"""The phrases of which verdicts are made: counts, lists, p values. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence


def sentence(clause: str) -> str:
    """Returns a clause with a capital letter and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."


def block_words(kind: str) -> tuple[str, str]:
    """Returns the singular and the plural of `Comparison.blocks`."""
    return kind, f"{kind}s"


MOST = 10_000  # numbers above it say no more than that they are large


def number(value: int) -> str:
    """Returns a whole number in digits: 1,200; over 10,000."""
    return f"{value:,}" if value <= MOST else f"over {MOST:,}"


def count(value: int, one: str, many: str) -> str:
    """Returns a number with its noun: 1 seed, 1,200 seeds."""
    return f"{number(value)} {one if value == 1 else many}"


def about(value: int, one: str, many: str) -> str:
    """Returns an estimated number with its noun: about 1,200 seeds; over 10,000 seeds."""
    return f"{'' if value > MOST else 'about '}{count(value, one, many)}"


def span(low: int, high: int) -> str:
    """Returns a range of whole numbers: 4 to 8; 4 if its ends are the same."""
    return number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"


def between(values: Sequence[int], one: str, many: str) -> str:
    """Returns the least and the largest number with their noun: 4 to 8 seeds; 4 seeds if they are the same."""
    few, most = min(values, default=0), max(values, default=0)
    return f"{span(few, most)} {one if most == 1 else many}"


def joined(names: Iterable[str]) -> str:
    """Returns a list in words: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def below(p: float) -> str:
    """Returns a bound on p, rounded up to three decimals."""
    return "< 0.001" if p < 0.001 else f"<= {math.ceil(p * 1000) / 1000:g}"


def budgets(of_tasks: Mapping[str, int | None], costs: Mapping[str, float]) -> str:
    """Returns budgets in words: 400 charged epochs; 100 (a and b) or 400 (c) charged epochs if they differ by task.

    `costs`: of the tasks whose budgets are costs: a charged cost of 200.
    """
    found = [_budgets(costs, "a charged cost of {}")] if costs else []
    epochs = {task: size for task, size in of_tasks.items() if size is not None}
    return " and ".join([*([_budgets(epochs, "{} charged epochs")] if epochs else []), *found])


def _budgets(of_tasks: Mapping[str, float], words: str) -> str:
    by_size: dict[float, list[str]] = {}
    for task, size in of_tasks.items():
        by_size.setdefault(size, []).append(task)
    if len(by_size) == 1:
        return words.format(digits(next(iter(by_size))))
    sizes = [f"{digits(size)} ({joined(tasks)})" for size, tasks in sorted(by_size.items())]
    return words.format(f"{', '.join(sizes[:-1])} or {sizes[-1]}")


def digits(size: float) -> str:
    """Returns a budget's digits: 1,200; 200; 0.5."""
    return f"{size:,.6f}".rstrip("0").rstrip(".")
