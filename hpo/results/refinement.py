"""Refinement of a winner (Shimazoe et al., paper 003): which neighbours to train, and whether a gain is real. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import HpoError
from hpo.results import statistics
from hpo.results.importance import Importance, TooFewTrials
from hpo.results.margin import margin
from hpo.results.phrases import about
from hpo.results.sign_flips import sign_flips
from hpo.results.statistics import Vector, mean_interval
from hpo.results.values import UNDECIDED, Interval
from hpo.store import columns as stored
from hpo.study.neighbours import neighbours
from hpo.study.space import Config, Value, same
from hpo.study.space_file import entries, parse_space
from hpo.text import plain

if TYPE_CHECKING:
    from hpo.store import StudyData


class NothingToRefine(HpoError):
    """A study without a winner, or results that do not include the winner."""


@dataclass(frozen=True)
class RefinePlan:
    """A winner and the configurations to train beside it: `changes` by hyperparameter, the most important one first.

    `value`: the winner's value when it was found. The winner must be trained again with the seeds of its neighbours.
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
    """Plans a refinement: the winner and its neighbours along the most and the least important hyperparameter.

    `method`: whose winner to refine (default: the best of all methods). `points`: other values of a range. Raises
    NothingToRefine if no run has a winner.
    """
    space = parse_space(data.definition["space"])
    found, value, label = winner(data, method)
    found = space.snap(found)
    most, least = most_and_least(importance, found)
    changes = {name: tuple(neighbours(space, found, name, points)) for name in dict.fromkeys((most, least))}
    if space.pool is not None:  # the nearest candidate with another value may differ in more
        changes = {name: tuple(c for c in others if changed(found, c) == name) for name, others in changes.items()}
        if not any(changes.values()):
            raise NothingToRefine(
                f"a candidate must differ from the winner of {data.name} in {most} or in {least} alone, but none of the "
                f"{len(space.pool)} does"
            )
    return RefinePlan(data.name, label, found, value, most, least, changes)


def winner(data: StudyData, method: str | None = None) -> tuple[dict[str, Value], float, str]:
    """Returns (configuration, value, method) of the best incumbent of all runs, or of one method's runs."""
    sign = 1.0 if data.definition["mode"] == "max" else -1.0
    rows = [row for row in data.runs.to_pylist() if row["incumbent_trial"] and method in (None, row["method"])]
    if not rows:
        known = ", ".join(stored.labels(data.definition, data.runs))
        of = f" of method {method!r}" if method else ""
        raise NothingToRefine(
            f"a run{of} in {data.name} must have a winner, but none has; the study's methods: {known}"
        )
    best = max(rows, key=lambda row: sign * row["incumbent_value"])
    section = entries(data.definition["space"])
    config = next(
        stored.config(row, section) for row in data.trials.to_pylist() if row["trial"] == best["incumbent_trial"]
    )
    return config, float(best["incumbent_value"]), str(best["method"])


def most_and_least(importance: Importance, config: Config) -> tuple[str, str]:
    """Returns the most and the least important of the configuration's hyperparameters."""
    names = [share.name for share in importance.shares if share.name in config]
    if not names:
        raise TooFewTrials("refining needs the importance of one of the winner's hyperparameters, but none is known")
    return names[0], names[-1]


# -- gains --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One hyperparameter of the winner changed to another value, over the seeds (folds) that trained both.

    `gain`: mean improvement over the winner in the metric's unit; positive is better in either mode. `p_adjusted`
    covers all changes together (sign flips, max-T), so the best of many is not mistaken for a gain; fewer than six
    pairs can show nothing. `more`: further seeds needed to detect a gain of `Refinement.point` with a power of 80
    percent; None if that is unknown, or fewer than two pairs leave the spread unknown.
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
    """The effect of changing one hyperparameter of a winner at a time; `changes` has the largest gain first.

    `point`: the smallest gain that matters; None if the study names none and the metric has no default.
    """

    metric: str
    mode: str
    config: Config
    mean: float
    changes: tuple[Change, ...]
    point: float | None = None

    @property
    def best(self) -> Change | None:
        """The change with the largest real gain; None if no gain is real."""
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
                f"{best.gain:.4g} on average over {best.pairs} pairs (adjusted p {best.p_adjusted:.2g})."
            )
        if top.gain <= 0:
            return f"No change improved on the winner's mean {self.metric} of {self.mean:.4g}."
        seen = "1 pair does" if top.pairs == 1 else f"{top.pairs} pairs do"
        more = f"at least {statistics.fewest_pairs()} pairs are needed"
        if top.more is not None:
            more = f"detecting a gain of {self.point:.3g} would take {about(top.more, 'more', 'more')}"
        elif top.pairs >= statistics.fewest_pairs():
            more = (
                "name the smallest gain that matters (difference in the study) to learn how many more would detect it"
            )
        return (
            f"Undecided: {top.name}={top.value} looks better by {top.gain:.4g}, but {seen} not show that this gain is "
            f"real; {more}."
        )

    def to_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = plain({**asdict(self), "verdict": self.verdict})
        return answer


Result = tuple[Config, int, float]
"""A trained configuration: (config, seed or fold, value of the metric)."""


def refinement(
    base: Config, results: Iterable[Result], *, metric: str, mode: str, difference: float | str | None = None
) -> Refinement:
    """Compares `base`, pair by pair, with every configuration that differs from it in one hyperparameter.

    `difference`: the smallest gain that matters (default: 0.01 for accuracies in [0, 1]). Values of one configuration and
    seed are averaged; one that is not finite (a failed trial) loses. Raises NothingToRefine if `base` was not trained.
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
        raise NothingToRefine("the winner must be trained beside its neighbours, but it has no result")
    found = [(key, name) for key, config in configs.items() if (name := changed(base, config)) is not None]
    found = [(key, name) for key, name in found if set(means[key]) & set(means[own])]
    values = np.array([sign * value for seeds in means.values() for value in seeds.values()])
    point = margin(None, [difference], metric, mode, values.tolist()).of(values)
    p, adjusted = _tests(means[own], [means[key] for key, _ in found])
    changes = [
        _change(
            configs[key], name, _differences(means[own], means[key]), means[key], (float(a), float(b)), sign,
            len(found), point,
        )
        for (key, name), a, b in zip(found, p, adjusted, strict=True)
    ]  # fmt: skip
    changes.sort(key=lambda change: -change.gain)
    mean = sign * float(np.mean(list(means[own].values())))
    return Refinement(metric, mode, dict(base), mean, tuple(changes), point)


def from_study(data: StudyData, base: Config) -> Refinement:
    """Returns the refinement of `base` from a study's trials of any method, paired by training seed."""
    space, section = parse_space(data.definition["space"]), entries(data.definition["space"])
    base = space.snap(base)
    space.check(base)
    rows = {row["trial"]: row for row in data.trials.to_pylist()}
    results = [
        (
            space.snap(stored.config(row, section)),
            int(row["seed"]),
            math.nan if row["best_value"] is None else row["best_value"],
        )
        for row in rows.values()
        if row["status"] in ("completed", "failed")
    ]
    known = data.definition
    return refinement(
        base, results, metric=str(known["metric"]), mode=str(known["mode"]), difference=known.get("difference")
    )


def changed(base: Config, config: Config) -> str | None:
    """Returns the one hyperparameter that `config` changes; None if none or several differ.

    Hyperparameters that only one of the two has depend on a condition: they do not count.
    """
    names = [name for name in base if name in config and not same(base[name], config[name])]
    return names[0] if len(names) == 1 else None


def _differences(base: Mapping[int, float], other: Mapping[int, float]) -> Vector:
    """Returns other minus base over the seeds that both have; 0 for two failures."""
    pairs = [(other[seed], base[seed]) for seed in base if seed in other]
    return np.array([0.0 if a == b else a - b for a, b in pairs])


def _tests(base: Mapping[int, float], others: Sequence[Mapping[int, float]]) -> tuple[Vector, Vector]:
    """Returns (p, p adjusted for all changes). A change with failures cannot win: only its ranks are tested."""
    p, adjusted = np.ones(len(others)), np.ones(len(others))
    whole = [i for i, other in enumerate(others) if np.isfinite(_differences(base, other)).all()]
    table = np.zeros((len(base), len(whole)))
    for column, i in enumerate(whole):
        for row, seed in enumerate(base):
            table[row, column] = others[i][seed] - base[seed] if seed in others[i] else 0.0
    if whole:
        p[whole], adjusted[whole] = sign_flips(table)
    for i in set(range(len(others))) - set(whole):
        p[i] = adjusted[i] = statistics.signed_rank(_differences(base, others[i]))[0]
    return p, adjusted


def _change(
    config: Config, name: str, differences: Vector, values: Mapping[int, float], p: tuple[float, float], sign: float,
    tests: int, point: float | None,
) -> Change:  # fmt: skip
    finite = differences[np.isfinite(differences)]
    gain, ci95 = mean_interval(list(finite))
    gain = -math.inf if len(finite) < len(differences) else float(gain or 0.0)
    decided = p[1] < statistics.ALPHA and gain != 0
    verdict = UNDECIDED if not decided else "better" if gain > 0 else "worse"
    mean = sign * float(np.mean(list(values.values())))
    more = None
    if point is not None:
        more, _ = statistics.more_pairs(finite, len(differences), point, statistics.ALPHA / max(1, tests))
    return Change(name, config[name], dict(config), len(differences), mean, gain, ci95, *p, verdict, more)
