"""Tuned is not optimal (Shimazoe et al., paper 003): what to change in a winner, and whether the gain is real. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import HpoError
from hpo.results import statistics
from hpo.results.importance import Importance, TooFewTrials
from hpo.results.statistics import Vector, mean_interval
from hpo.results.values import UNDECIDED, Interval
from hpo.store import columns as stored
from hpo.study.neighbours import neighbours
from hpo.study.space import Config, Value, same
from hpo.study.space_file import parse_space
from hpo.text import plain

if TYPE_CHECKING:
    from hpo.store import StudyData

POINT = 0.01


class NothingToRefine(HpoError):
    """A study without a winner, or results that belong to no refinement of it."""


@dataclass(frozen=True)
class RefinePlan:
    """A winner and the configurations to try beside it: `changes` by hyperparameter, the most important one first.

    `value` is what the winner had when it was found; it must be trained again with the seeds of its neighbours.
    """

    study: str
    method: str
    config: Config
    value: float
    most: str
    least: str
    changes: Mapping[str, tuple[Config, ...]]

    @property
    def configs(self) -> tuple[Config, ...]:
        """The winner, then all its neighbours."""
        return (self.config, *(config for configs in self.changes.values() for config in configs))


def plan(data: StudyData, importance: Importance, *, method: str | None = None, points: int = 5) -> RefinePlan:
    """The winner (of one method, or of all) and its neighbours along the most and the least important hyperparameter.

    Raises NothingToRefine where no run has a winner.
    """
    space = parse_space(data.definition["space"])
    found, value, label = winner(data, method)
    most, least = most_and_least(importance, found)
    changes = {name: tuple(neighbours(space, found, name, points)) for name in dict.fromkeys((most, least))}
    return RefinePlan(data.name, label, found, value, most, least, changes)


def winner(data: StudyData, method: str | None = None) -> tuple[dict[str, Value], float, str]:
    """(configuration, value, method) of the best incumbent among all runs, or among those of one method."""
    sign = 1.0 if data.definition["mode"] == "max" else -1.0
    rows = [row for row in data.runs.to_pylist() if row["incumbent_trial"] and method in (None, row["method"])]
    if not rows:
        known = ", ".join(stored.labels(data.definition, data.runs))
        of = f" of method {method!r}" if method else ""
        raise NothingToRefine(f"a run{of} of {data.name} must have a winner, but there is none; its methods: {known}")
    best = max(rows, key=lambda row: sign * row["incumbent_value"])
    section = data.definition["space"]
    config = next(
        stored.config(row, section) for row in data.trials.to_pylist() if row["trial"] == best["incumbent_trial"]
    )
    return config, float(best["incumbent_value"]), str(best["method"])


def most_and_least(importance: Importance, config: Config) -> tuple[str, str]:
    """The most and the least important of the hyperparameters that the configuration has."""
    names = [share.name for share in importance.shares if share.name in config]
    if not names:
        raise TooFewTrials("refining needs the importance of a hyperparameter of the winner, but it is known of none")
    return names[0], names[-1]


# -- whether it helped --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One hyperparameter of the winner changed to another value, over the seeds (folds) that trained both.

    `gain`: mean improvement on the winner in the metric's unit, positive is better whatever the mode. `p_adjusted`
    for all changes together (sign flips, max-T), so that the best of many is not taken at its word; fewer than six
    pairs can show nothing. `more`: further seeds that would detect a gain of one point with a power of 80 percent,
    None where fewer than two leave the spread unknown.
    """

    name: str
    value: Value
    config: Config
    pairs: int
    mean: float
    gain: float
    ci95: Interval
    p: float
    p_adjusted: float
    verdict: str  # better | worse | undecided
    more: int | None


@dataclass(frozen=True)
class Refinement:
    """What changing one hyperparameter at a time did to a winner; `changes` with the largest gain first."""

    metric: str
    mode: str
    config: Config
    mean: float
    changes: tuple[Change, ...]

    @property
    def best(self) -> Change | None:
        """The change whose gain is real, the largest of them; None where none is."""
        return next((change for change in self.changes if change.verdict == "better"), None)

    @property
    def verdict(self) -> str:
        """Whether the gain is real, in one sentence."""
        if not self.changes:
            return "No change was trained beside the winner."
        best, top = self.best, self.changes[0]
        if best is not None:
            return (
                f"{best.name}={best.value} is better than {self.config.get(best.name)}: {self.metric} improves by "
                f"{best.gain:.4g} over {best.pairs} pairs (adjusted p {best.p_adjusted:.2g})."
            )
        if top.gain <= 0:
            return f"No change improved on the winner's mean {self.metric} of {self.mean:.4g}."
        more = (
            "at least 2 are needed" if top.more is None else f"about {top.more} more would detect a gain of {POINT:g}"
        )
        return (
            f"Undecided: {top.name}={top.value} looks better by {top.gain:.4g}, which {top.pairs} "
            f"{'pair does' if top.pairs == 1 else 'pairs do'} not show to be real; {more}."
        )

    def to_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = plain({**asdict(self), "verdict": self.verdict})
        return answer


Result = tuple[Config, int, float]
"""A trained configuration: (config, seed or fold, value of the metric)."""


def refinement(base: Config, results: Iterable[Result], *, metric: str, mode: str) -> Refinement:
    """Compares every configuration that differs from `base` in one hyperparameter with it, pair by pair.

    Values of a configuration that a seed has twice are averaged. A value that is not finite (a failed trial) loses.
    Raises NothingToRefine where the base itself was not trained.
    """
    sign = 1.0 if mode == "max" else -1.0
    table: dict[str, dict[int, list[float]]] = {}
    configs: dict[str, Config] = {}
    for config, seed, value in results:
        key = repr(sorted(config.items()))
        configs[key] = config
        table.setdefault(key, {}).setdefault(seed, []).append(sign * value if math.isfinite(value) else -math.inf)
    means = {key: {seed: float(np.mean(v)) for seed, v in seeds.items()} for key, seeds in table.items()}
    own = repr(sorted(base.items()))
    if own not in means:
        raise NothingToRefine("the winner must be trained beside its neighbours, but there is no result of it")
    found = [(key, name) for key, config in configs.items() if (name := changed(base, config)) is not None]
    found = [(key, name) for key, name in found if set(means[key]) & set(means[own])]
    p, adjusted = _tests(means[own], [means[key] for key, _ in found])
    changes = [
        _change(
            configs[key], name, _differences(means[own], means[key]), means[key], (float(a), float(b)), sign, len(found)
        )
        for (key, name), a, b in zip(found, p, adjusted, strict=True)
    ]
    changes.sort(key=lambda change: -change.gain)
    return Refinement(metric, mode, dict(base), sign * float(np.mean(list(means[own].values()))), tuple(changes))


def from_study(data: StudyData, base: Config) -> Refinement:
    """The refinement of `base` that a study's trials hold, of whatever method; pairs are made by training seed."""
    space, section = parse_space(data.definition["space"]), data.definition["space"]
    space.check(base)
    rows = {row["trial"]: row for row in data.trials.to_pylist()}
    results = [
        (stored.config(row, section), int(row["seed"]), math.nan if row["best_value"] is None else row["best_value"])
        for row in rows.values()
        if row["status"] in ("completed", "failed")
    ]
    return refinement(base, results, metric=str(data.definition["metric"]), mode=str(data.definition["mode"]))


def changed(base: Config, config: Config) -> str | None:
    """The one hyperparameter that `config` changes; None where none or several differ.

    Hyperparameters that only one of the two has come and go with a condition: they do not count.
    """
    names = [name for name in base if name in config and not same(base[name], config[name])]
    return names[0] if len(names) == 1 else None


def _differences(base: Mapping[int, float], other: Mapping[int, float]) -> Vector:
    """Other less base over the seeds that both have; two failures differ by nothing."""
    pairs = [(other[seed], base[seed]) for seed in base if seed in other]
    return np.array([0.0 if a == b else a - b for a, b in pairs])


def _tests(base: Mapping[int, float], others: Sequence[Mapping[int, float]]) -> tuple[Vector, Vector]:
    """(p, p adjusted for all changes). A change that failed is out of the race: it is judged by its ranks alone."""
    p, adjusted = np.ones(len(others)), np.ones(len(others))
    whole = [i for i, other in enumerate(others) if np.isfinite(_differences(base, other)).all()]
    table = np.zeros((len(base), len(whole)))
    for column, i in enumerate(whole):
        for row, seed in enumerate(base):
            table[row, column] = others[i][seed] - base[seed] if seed in others[i] else 0.0
    if whole:
        p[whole], adjusted[whole] = statistics.sign_flips(table)
    for i in set(range(len(others))) - set(whole):
        p[i] = adjusted[i] = statistics.signed_rank(_differences(base, others[i]))[0]
    return p, adjusted


def _change(
    config: Config, name: str, differences: Vector, values: Mapping[int, float], p: tuple[float, float], sign: float,
    tests: int,
) -> Change:  # fmt: skip
    finite = differences[np.isfinite(differences)]
    gain, ci95 = mean_interval(list(finite))
    gain = -math.inf if len(finite) < len(differences) else float(gain or 0.0)
    decided = p[1] < statistics.ALPHA and gain != 0
    verdict = UNDECIDED if not decided else "better" if gain > 0 else "worse"
    mean = sign * float(np.mean(list(values.values())))
    more = statistics.more_pairs(finite, len(differences), POINT, statistics.ALPHA / max(1, tests))
    return Change(name, config[name], dict(config), len(differences), mean, gain, ci95, *p, verdict, more)
