"""Finds the search space of an objective of Optuna by calling it, once for each branch, up to its first report.

What it has not seen it cannot tell: a hyperparameter that is suggested after the first report, or only where two choices
differ from their first at once, is missing from what it finds. Writes nothing.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FixedTrial

from hpo.text import one_line
from trainables.adapters.generators import Generators
from trainables.adapters.paused import Ended
from trainables.errors import BadTrainable

CALLS = 60
COUNTING_SECONDS = 10.0
FEW = 8  # a range of at most so many whole numbers may decide what else is suggested, as a number of layers does


@dataclass
class FoundSpace:
    """An objective's space as a study file has it, how often it reports (0: never; None: unknown), and what to know."""

    space: dict[str, dict[str, Any]]
    reports: int | None
    remarks: list[str] = field(default_factory=list)


@dataclass
class _Call:
    """What an objective suggested for given answers."""

    answers: dict[str, Any]
    asked: dict[str, BaseDistribution]
    values: dict[str, Any]
    reports: int | None
    error: str


def space_of(objective: Callable[..., Any]) -> FoundSpace:
    """Calls an objective with the middle of each range and the first of each choice, then with each other choice.

    Raises BadTrainable where it suggests nothing.
    """
    calls: list[_Call] = []
    waiting: deque[dict[str, Any]] = deque([{}])
    tried: set[tuple[str, str]] = set()
    while waiting and len(calls) < CALLS:
        calls.append(call := _called(objective, waiting.popleft(), count=not calls))
        for name, distribution in call.asked.items():
            for option in _options(distribution):
                if option != call.values[name] and (name, repr(option)) not in tried:
                    tried.add((name, repr(option)))
                    waiting.append({**call.answers, name: option})
    remarks = [
        f"With {_said(c.answers)} it raised: {c.error}. What it suggests after that is missing."
        for c in calls
        if c.error
    ]
    if waiting:
        remarks.append(f"It was called {CALLS} times; {len(waiting)} further branches were not tried.")
    if not calls[0].asked:
        why = f": it raised {calls[0].error}" if calls[0].error else ""
        raise BadTrainable(
            f"an objective must suggest a hyperparameter before its first report, but it suggests none{why}"
        )
    return FoundSpace(_space(calls, remarks), calls[0].reports, remarks)


class _Asking(FixedTrial):
    """A trial that answers what it is asked, and notes it. Ends the objective at its first report, or counts them for a while."""

    def __init__(self, answers: Mapping[str, Any], *, count: bool) -> None:
        super().__init__(dict(answers))
        self._steps: set[int] = set()
        self._until = time.monotonic() + (COUNTING_SECONDS if count else 0.0)

    def report(self, value: float, step: int) -> None:
        self._steps.add(step)
        if time.monotonic() >= self._until:
            raise Ended

    @property
    def reports(self) -> int:
        """The steps that were reported."""
        return len(self._steps)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self._params.setdefault(name, _first(distribution))
        return super()._suggest(name, distribution)


def _called(objective: Callable[..., Any], answers: dict[str, Any], *, count: bool) -> _Call:
    trial, reports, error = _Asking(answers, count=count), None, ""
    with Generators(0).in_force():
        try:
            (objective() if isinstance(objective, type) else objective)(trial)
            reports = trial.reports
        except Ended:
            pass
        except Exception as raised:  # whatever the objective makes of an answer
            error = "" if trial.reports else one_line(raised)  # what follows a report is not looked at anyway
    return _Call(answers, dict(trial.distributions), dict(trial.params), reports, error)


def _first(distribution: Any) -> Any:
    """Returns the first choice, or the middle of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    low, high, step = distribution.low, distribution.high, distribution.step
    middle = math.sqrt(low * high) if distribution.log else (low + high) / 2
    if step is None:
        return min(high, max(low, middle))
    return low + step * min(round((high - low) / step), round((middle - low) / step))


def _options(distribution: Any) -> list[Any]:
    """Returns the values that may decide what else is suggested."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        return list(values) if len(values) <= FEW else []
    return []


def _space(calls: list[_Call], remarks: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, BaseDistribution] = {}
    for call in calls:
        for name, distribution in call.asked.items():
            if found.setdefault(name, distribution) != distribution:
                remarks.append(f"{name} has different ranges in different branches; the first is written.")
                remarks[:] = dict.fromkeys(remarks)
    space = {}
    for name, distribution in found.items():
        space[name] = _entry(distribution)
        if parent := _parent(name, calls, found):
            space[name]["if"] = parent
        elif not all(name in call.asked or call.error for call in calls):
            remarks.append(f"{name} is not always suggested, and no single choice decides it: add its `if`.")
    return space


def _parent(name: str, calls: list[_Call], found: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Returns the one hyperparameter whose values decide whether `name` is suggested, and those values. Empty if always."""
    sound = [call for call in calls if not call.error or name in call.asked]
    for other in found:
        if other == name or not _options(found[other]):
            continue
        values = [call.values[other] for call in sound if name in call.asked and other in call.asked]
        with_it = [call for call in sound if other in call.asked and call.values[other] in values]
        asked = [call for call in sound if name in call.asked]
        if len(with_it) == len(asked) == len(values) and len(asked) < len(sound):
            unique = [_plain(value) for value in _options(found[other]) if value in values]
            return {other: unique[0] if len(unique) == 1 else unique}
    return {}


def _entry(distribution: Any) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "choice", "values": [_plain(choice) for choice in distribution.choices]}
    whole = isinstance(distribution, IntDistribution)
    entry: dict[str, Any] = {"type": "int" if whole else "float", "low": distribution.low, "high": distribution.high}
    if distribution.log:
        entry["log"] = True
    elif distribution.step not in ((None, 1) if whole else (None,)):
        entry["step"] = distribution.step
    return entry


def _plain(value: Any) -> Any:
    """Returns a choice as a study file can hold it: as it is, or by its text."""
    return value if isinstance(value, str | int | float) else str(value)


def _said(answers: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in answers.items()) or "first choices and middles of ranges"
