"""Which hyperparameters mattered: fANOVA with pairs and intervals, marginals, sensitivity. Pure; reads StudyData only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import HpoError
from hpo.store import columns as stored
from hpo.results.association import Association, association
from hpo.text import plain
from hpo.study.space import Choice, SearchSpace, Value
from hpo.study.space import pairs as unordered
from hpo.study.space_file import parse_space
from hpo.results.forest import Cells, Decomposition, Flags, Forest, Matrix, Vector, decompose

if TYPE_CHECKING:
    from hpo.store import StudyData

FEWEST = 12  # trials below which no share is given
CELLS = 24  # places along a continuous hyperparameter
TREES = 64
HALVES = 30  # half-samples behind an interval
HALF_TREES = 12
MOST = 2000  # trials that are used; a random choice of them where there are more
FOLDS = 5
POOR_FIT = 0.5  # R squared below which nothing is claimed: known shares were then missed by up to 0.9, else by 0.3


class TooFewTrials(HpoError):
    """Too few trials, or too much alike, for importance to mean anything."""


@dataclass(frozen=True)
class Share:
    """The share of the variance that a hyperparameter alone explains, with its 95 percent interval."""

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class PairShare:
    """What a pair explains beyond its two hyperparameters alone, and the metric over both: `mean` [a values, b values]."""

    a: str
    b: str
    share: float
    low: float
    high: float
    values_a: tuple[Value, ...]
    values_b: tuple[Value, ...]
    mean: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Marginal:
    """The metric over one hyperparameter's values: `mean`, and `std`, how uncertain the mean is; all [values].

    As a marginal all others are averaged out; as a sensitivity all others stay at the incumbent's values.
    """

    name: str
    values: tuple[Value, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def spread(self) -> float:
        """How far the mean moves along the values."""
        return max(self.mean) - min(self.mean)


@dataclass(frozen=True)
class Importance:
    """The importance of a study's hyperparameters, the most important first.

    `unexplained`: the share of the surrogate's variance in interactions beyond those shown. `fit`: R squared of the
    surrogate on trials that it had not seen; where it is poor, the shares are guesses. `incumbent`: where
    `sensitivity` was taken. `epochs`: how far the trials were trained, in words.
    """

    study: str
    metric: str
    mode: str
    trials: int
    epochs: str
    fit: float
    unexplained: float
    shares: tuple[Share, ...]
    pairs: tuple[PairShare, ...]
    marginals: tuple[Marginal, ...]
    incumbent: Mapping[str, Value]
    sensitivity: tuple[Marginal, ...]
    association: Association | None
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether the surrogate explains enough for the shares to be taken at their word."""
        return self.fit >= POOR_FIT

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; null where a number is not finite."""
        found = {
            **asdict(self),
            "decided": self.decided,
            "association": self.association.to_json() if self.association else None,
        }
        found["sensitivity"] = [{**asdict(m), "spread": m.spread} for m in self.sensitivity]
        answer: dict[str, Any] = plain(found)
        return answer


def importance(data: StudyData, *, pairs: bool = True, seed: int = 0) -> Importance:
    """The importance of a study's hyperparameters for its metric. Raises TooFewTrials."""
    space = parse_space(data.definition["space"])
    trials, epochs, notes = _trials(data, space)
    mode = str(data.definition["mode"])
    values = np.array([value for _, value in trials])
    configs = [config for config, _ in trials]
    _check(data.name, values)
    if len(values) > MOST:
        chosen = np.random.default_rng([seed, 0]).choice(len(values), MOST, replace=False)
        notes.append(f"{MOST} of {len(values)} trials were used, chosen at random.")
        values, configs = values[chosen], [configs[i] for i in chosen]
    found = fanova(space, configs, values, pairs=pairs, seed=seed)
    incumbent = configs[int(np.argmax(values if mode == "max" else -values))]
    return Importance(
        study=data.name,
        metric=str(data.definition["metric"]),
        mode=mode,
        trials=len(values),
        epochs=epochs,
        fit=found.fit,
        unexplained=found.whole.unexplained,
        shares=found.shares(),
        pairs=found.pair_shares() if pairs else (),
        marginals=found.marginals(),
        incumbent=incumbent,
        sensitivity=found.sensitivity(incumbent),
        association=association("batch_size", "learning_rate", configs, list(values), mode=mode),
        seed=seed,
        notes=tuple(notes),
    )


def importance_or_none(data: StudyData, *, seed: int = 0) -> Importance | None:
    """The importance; None where there are too few trials for one."""
    try:
        return importance(data, pairs=True, seed=seed)
    except TooFewTrials:
        return None


def over_tasks(found: Sequence[Importance]) -> tuple[Share, ...]:
    """The mean share of each hyperparameter over tasks that all search it, the most important first.

    Intervals: the tasks' half-widths as independent errors of the mean.
    """
    common = [s.name for s in found[0].shares if all(any(o.name == s.name for o in f.shares) for f in found)]
    rows = []
    for name in common:
        mine = [share for f in found for share in f.shares if share.name == name]
        mean = float(np.mean([share.share for share in mine]))
        below = math.sqrt(sum((share.share - share.low) ** 2 for share in mine)) / len(mine)
        above = math.sqrt(sum((share.high - share.share) ** 2 for share in mine)) / len(mine)
        rows.append(Share(name, mean, max(0.0, mean - below), min(1.0, mean + above)))
    return tuple(sorted(rows, key=lambda share: -share.share))


def _check(study: str, values: Vector) -> None:
    if len(values) < FEWEST:
        raise TooFewTrials(f"importance needs at least {FEWEST} trials with a value, but {study} has {len(values)}")
    if np.ptp(values) == 0:
        raise TooFewTrials(f"importance needs trials that differ, but all {len(values)} of {study} have {values[0]:g}")


def _trials(data: StudyData, space: SearchSpace) -> tuple[list[tuple[dict[str, Value], float]], str, list[str]]:
    """(configuration, best value) of the trials to learn from, how far they were trained, and what was left out.

    Those trained to the end where there are enough of them: a stopped trial's value says how early it was stopped.
    """
    section = data.definition["space"]
    rows: dict[str, dict[str, Any]] = {}
    for row in data.trials.to_pylist() if data.trials.num_rows else []:
        if row["trial"] not in rows or (row["epochs"] or 0) > (rows[row["trial"]]["epochs"] or 0):
            rows[row["trial"]] = row
    known = [row for row in rows.values() if row["best_value"] is not None and math.isfinite(row["best_value"])]
    useful = [row for row in known if row["status"] != "failed"]
    longest = max((row["epochs"] for row in useful), default=0)
    whole = [row for row in useful if row["status"] == "completed" or row["epochs"] == longest]
    enough = len(whole) >= max(FEWEST, len(useful) / 4)
    chosen, epochs = (whole, "trained to the end") if enough else (useful, "trained to different epochs")
    notes = [f"{len(rows) - len(useful)} trials failed and were left out."] if len(rows) > len(useful) else []
    if enough and len(whole) < len(useful):
        notes.append(f"{len(useful) - len(whole)} trials that were stopped early were left out.")
    pairs = [(stored.config(row, section), float(row["best_value"])) for row in chosen]
    return [(config, value) for config, value in pairs if config in space], epochs, notes


# -- fANOVA -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fanova:
    """The decomposition of a forest over all trials (`whole`), and of forests over random halves of them.

    The spread of the halves is the error of the whole (delete-half jackknife, Shao and Wu 1989), without the
    duplicates that resampling with replacement would put into the leaves. What the whole learned beyond its halves
    it would go on to learn with more trials: intervals reach as far again in that direction.
    """

    space: SearchSpace
    forest: Forest
    whole: Decomposition
    halves: tuple[Decomposition, ...]
    half_forests: tuple[Forest, ...]
    fit: float

    def shares(self) -> tuple[Share, ...]:
        rows = []
        for axis, name in enumerate(self.space.names):
            share = self.whole.single(axis)
            rows.append(Share(name, share, *_interval(share, [half.single(axis) for half in self.halves])))
        return tuple(sorted(rows, key=lambda row: -row.share))

    def pair_shares(self) -> tuple[PairShare, ...]:
        rows = []
        for a, b in self.whole.pairs:
            share = self.whole.pair(a, b)
            low, high = _interval(share, [half.pair(a, b) for half in self.halves])
            mean = tuple(tuple(map(float, line)) for line in self.whole.pairs[a, b])
            names, cells = self.space.names, self.values
            rows.append(PairShare(names[a], names[b], share, low, high, cells[a], cells[b], mean))
        return tuple(sorted(rows, key=lambda row: -row.share))

    def marginals(self) -> tuple[Marginal, ...]:
        """All hyperparameters' marginals, in the space's order."""
        curves = [[half.singles[axis] for half in self.halves] for axis in range(len(self.space))]
        return tuple(self._marginal(axis, self.whole.singles[axis], curves[axis]) for axis in range(len(self.space)))

    def sensitivity(self, config: Mapping[str, Value]) -> tuple[Marginal, ...]:
        """The predicted metric as one hyperparameter at a time leaves `config`; those that exist there."""
        place, found = self.space.encode(config), []
        for axis, name in enumerate(self.space.names):
            if name in config:
                cell = cells(self.space)[axis]
                points = np.tile(place, (cell.count, 1))
                points[:, axis] = cell.middles
                curves = [forest.predict(points) for forest in self.half_forests]
                found.append(self._marginal(axis, self.forest.predict(points), curves))
        return tuple(sorted(found, key=lambda marginal: -marginal.spread))

    def _marginal(self, axis: int, curve: Vector, halves: Sequence[Vector]) -> Marginal:
        """The curve over the distinct values of the cells: a log range of whole numbers gives some twice."""
        values = self.values[axis]
        spread = np.std(np.array(halves), axis=0, ddof=1)
        distinct = list(dict.fromkeys(values))
        groups = [[i for i, value in enumerate(values) if value == chosen] for chosen in distinct]
        mean = tuple(float(curve[group].mean()) for group in groups)
        return Marginal(self.space.names[axis], tuple(distinct), mean, tuple(float(spread[g].mean()) for g in groups))

    @property
    def values(self) -> list[tuple[Value, ...]]:
        """The value in the middle of each cell, by coordinate."""
        domains = zip(self.space.domains.values(), cells(self.space), strict=True)
        return [tuple(domain.decode(float(middle)) for middle in cell.middles) for domain, cell in domains]


def fanova(
    space: SearchSpace, configs: Sequence[Mapping[str, Value]], values: Vector, *, pairs: bool = True, seed: int = 0
) -> Fanova:
    """The decomposition of `values` [n] over the space's unit cube, each choice and small range by its own values.

    The cube is sampled uniformly, as random search does: shares speak of the whole space, not of its best part.
    """
    points = np.array([space.encode(config) for config in configs])
    active = np.array([[name in config for name in space.names] for config in configs])
    rng = np.random.default_rng([seed, 1])
    grid = cells(space)
    axes = unordered([str(i) for i in range(len(space))]) if pairs else []
    wanted = [(int(a), int(b)) for a, b in axes]
    forest = Forest(points, values, active, grid, trees=TREES, rng=rng)
    half_forests = []
    for _ in range(HALVES):
        half = rng.choice(len(values), len(values) // 2, replace=False)
        half_forests.append(Forest(points[half], values[half], active[half], grid, trees=HALF_TREES, rng=rng))
    return Fanova(
        space=space,
        forest=forest,
        whole=decompose(forest, wanted, seed=seed),
        halves=tuple(decompose(half, wanted, seed=seed) for half in half_forests),
        half_forests=tuple(half_forests),
        fit=_fit(points, values, active, grid, rng),
    )


def cells(space: SearchSpace) -> list[Cells]:
    """The cells of each coordinate of the cube: one a value where there are few, else 24."""
    found = []
    for domain in space.domains.values():
        uneven = not isinstance(domain, Choice) and domain.log  # values' cells are of different widths
        discrete = domain.size <= CELLS and not uneven
        found.append(Cells(int(domain.size), True) if discrete else Cells(CELLS))
    return found


def _fit(points: Matrix, values: Vector, active: Flags, grid: Sequence[Cells], rng: np.random.Generator) -> float:
    """R squared over folds that the forest had not seen."""
    parts = np.array_split(rng.permutation(len(values)), FOLDS)
    error = 0.0
    for part in parts:
        kept = np.setdiff1d(np.arange(len(values)), part)
        forest = Forest(points[kept], values[kept], active[kept], grid, trees=HALF_TREES, rng=rng)
        error += float(((forest.predict(points[part]) - values[part]) ** 2).sum())
    return 1.0 - error / float(((values - values.mean()) ** 2).sum())


def _interval(share: float, halves: Sequence[float]) -> tuple[float, float]:
    """The share with the halves' spread about their own mean, and the jackknife's estimate of bias beyond it."""
    middle = float(np.mean(halves))
    low, high = np.quantile(np.array(halves) - middle, [0.025, 0.975])
    bias = share - middle
    return max(0.0, share + float(low) + min(0.0, bias)), min(1.0, share + float(high) + max(0.0, bias))
