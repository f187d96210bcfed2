"""fANOVA over a search space: shares of single hyperparameters and pairs with intervals, marginals, sensitivity. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.results.forest import Cells, Decomposition, Flags, Forest, Matrix, Vector, decompose
from hpo.study.space import Choice, SearchSpace, Value
from hpo.study.space import pairs as unordered

CELLS = 24  # cells along a continuous hyperparameter
TREES = 64
HALVES = 30  # half-samples behind an interval
HALF_TREES = 12
FOLDS = 5  # of the cross-validation behind `fit`


@dataclass(frozen=True)
class Share:
    """The share of the variance that a hyperparameter alone explains, with its 95 percent interval."""

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class PairShare:
    """The share that a pair explains beyond its two hyperparameters alone; `mean` [a values, b values]: the metric over both."""

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
    """The metric over one hyperparameter's values: `mean` and its uncertainty `std`, both [values].

    As a marginal, all other hyperparameters are averaged out; as a sensitivity, they keep the incumbent's values.
    """

    name: str
    values: tuple[Value, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def spread(self) -> float:
        """The range of the mean over the values."""
        return max(self.mean) - min(self.mean)


@dataclass(frozen=True)
class Fanova:
    """The decomposition of a forest over all trials (`whole`), and of forests over random halves of them.

    The spread of the halves estimates the error of the whole (delete-half jackknife, Shao and Wu 1989), without the
    duplicates that resampling with replacement would put into the leaves. If the whole learned more than its halves,
    it would learn more again from further trials: intervals reach as far again in that direction. `fit`: R squared on
    trials that the forest had not seen.
    """

    space: SearchSpace
    forest: Forest
    whole: Decomposition
    halves: tuple[Decomposition, ...]
    half_forests: tuple[Forest, ...]
    fit: float

    def shares(self) -> tuple[Share, ...]:
        """Returns every hyperparameter's share, largest first."""
        rows = []
        for axis, name in enumerate(self.space.names):
            share = self.whole.single(axis)
            rows.append(Share(name, share, *_interval(share, [half.single(axis) for half in self.halves])))
        return tuple(sorted(rows, key=lambda row: -row.share))

    def pair_shares(self) -> tuple[PairShare, ...]:
        """Returns the pairs' shares, largest first."""
        rows = []
        for a, b in self.whole.pairs:
            share = self.whole.pair(a, b)
            low, high = _interval(share, [half.pair(a, b) for half in self.halves])
            mean = tuple(tuple(map(float, line)) for line in self.whole.pairs[a, b])
            names, cells = self.space.names, self.values
            rows.append(PairShare(names[a], names[b], share, low, high, cells[a], cells[b], mean))
        return tuple(sorted(rows, key=lambda row: -row.share))

    def marginals(self) -> tuple[Marginal, ...]:
        """Returns all hyperparameters' marginals, in the space's order."""
        curves = [[half.singles[axis] for half in self.halves] for axis in range(len(self.space))]
        return tuple(self._marginal(axis, self.whole.singles[axis], curves[axis]) for axis in range(len(self.space)))

    def sensitivity(self, config: Mapping[str, Value]) -> tuple[Marginal, ...]:
        """Predicts the metric as one hyperparameter of `config` at a time takes other values; largest spread first."""
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
        """Returns the curve over the cells' distinct values: in a log range of whole numbers several cells share a value."""
        values = self.values[axis]
        spread = np.std(np.array(halves), axis=0, ddof=1)
        distinct = list(dict.fromkeys(values))
        groups = [[i for i, value in enumerate(values) if value == chosen] for chosen in distinct]
        mean = tuple(float(curve[group].mean()) for group in groups)
        return Marginal(self.space.names[axis], tuple(distinct), mean, tuple(float(spread[g].mean()) for g in groups))

    @property
    def values(self) -> list[tuple[Value, ...]]:
        """The values at the middles of the cells, by coordinate."""
        domains = zip(self.space.domains.values(), cells(self.space), strict=True)
        return [tuple(domain.decode(float(middle)) for middle in cell.middles) for domain, cell in domains]


def fanova(
    space: SearchSpace, configs: Sequence[Mapping[str, Value]], values: Vector, *, pairs: bool = True, seed: int = 0
) -> Fanova:
    """Decomposes `values` [n] over the space's unit cube; choices and small ranges are split by their values.

    All of the cube counts equally, as in random search: shares describe the whole space, not its best part.
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
    """Returns the cells of each coordinate of the cube: one for each value if there are few, otherwise 24."""
    found = []
    for domain in space.domains.values():
        uneven = not isinstance(domain, Choice) and domain.log  # cells of single values would differ in width
        discrete = domain.size <= CELLS and not uneven
        found.append(Cells(int(domain.size), True) if discrete else Cells(CELLS))
    return found


def _fit(points: Matrix, values: Vector, active: Flags, grid: Sequence[Cells], rng: np.random.Generator) -> float:
    """Returns R squared over folds that the forest had not seen."""
    parts = np.array_split(rng.permutation(len(values)), FOLDS)
    error = 0.0
    for part in parts:
        kept = np.setdiff1d(np.arange(len(values)), part)
        forest = Forest(points[kept], values[kept], active[kept], grid, trees=HALF_TREES, rng=rng)
        error += float(((forest.predict(points[part]) - values[part]) ** 2).sum())
    return 1.0 - error / float(((values - values.mean()) ** 2).sum())


def _interval(share: float, halves: Sequence[float]) -> tuple[float, float]:
    """Returns the share's interval: the halves' spread about their mean, extended by the jackknife's estimate of bias."""
    middle = float(np.mean(halves))
    low, high = np.quantile(np.array(halves) - middle, [0.025, 0.975])
    bias = share - middle
    return max(0.0, share + float(low) + min(0.0, bias)), min(1.0, share + float(high) + max(0.0, bias))
