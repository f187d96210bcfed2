"""The looks of a comparison's methods: of many, the best few in colour, the others in grey. Pure."""

from __future__ import annotations

import math

from hpo.report import palette
from hpo.report.canvas import Looks
from hpo.results.values import Comparison


def method_looks(comparison: Comparison) -> Looks:
    """Returns a look for each method, in the comparison's order."""
    return palette.looks([m.method for m in comparison.methods], ranked(comparison))


def ranked(comparison: Comparison) -> list[str]:
    """Returns the methods, the best mean first; those without a complete run follow by the best value of any run."""
    sign = 1.0 if comparison.mode == "max" else -1.0

    def place(method: str, mean: float | None) -> tuple[bool, float]:
        values = [sign * r.value for r in comparison.runs if r.method == method and math.isfinite(r.value)]
        return mean is None, -(sign * mean if mean is not None else max(values, default=-math.inf))

    order = {m.method: place(m.method, m.mean) for m in comparison.methods}
    return sorted(order, key=lambda method: order[method])


def many(looks: Looks) -> bool:
    """Tells whether there are too many methods to draw all of them in full: some are grey."""
    return not all(look.top for look in looks.values())


def in_grey(looks: Looks) -> str:
    """Returns the sentence that explains grey lines; empty where every method has a colour."""
    others = sum(not look.top for look in looks.values())
    if not many(looks):
        return ""
    return f" The best {len(looks) - others} methods are in colour, the other {others} in grey."
