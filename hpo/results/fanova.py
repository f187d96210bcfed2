"""fANOVA over a search space: shares of single hyperparameters and pairs with intervals, marginals, sensitivity. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.results.forest import Cells, Decomposition, Forest, Vector, decompose
from hpo.results.shares import Axes, Estimate, corrected_shares
from hpo.study.space import Choice, SearchSpace, Value
from hpo.study.space import pairs as unordered

CELLS = 24  # cells along a continuous hyperparameter
TREES = 64
HALVES = 30  # half-samples behind the uncertainty of marginals
HALF_TREES = 12
WAVES = 4  # cosines that describe a hyperparameter in the correction of shares; a choice has one less than its options


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
    """The decomposition of a forest over all trials (`whole`) with corrected shares (`estimates`).

    The spread of forests over random halves of the trials estimates the uncertainty of marginals (delete-half jackknife,
    Shao and Wu 1989), without the duplicates that resampling with replacement would put into the leaves. `fit`: R
    squared on trials that the surrogate had not seen.
    """

    space: SearchSpace
    forest: Forest
    whole: Decomposition
    estimates: Mapping[Axes, Estimate]
    halves: tuple[Decomposition, ...]
    half_forests: tuple[Forest, ...]
    fit: float

    @property
    def unexplained(self) -> float:
        """The share left to interactions other than the pairs in `whole`."""
        shown = [*((axis,) for axis in range(len(self.space))), *self.whole.pairs]
        return max(0.0, 1.0 - sum(self.estimates[axes].share for axes in shown))

    def shares(self) -> tuple[Share, ...]:
        """Returns every hyperparameter's share, largest first; of equal ones, first what the surrogate alone prefers."""
        order = sorted(range(len(self.space)), key=lambda a: (-self.estimates[(a,)].share, -self.whole.single(a)))
        found = [(self.space.names[axis], self.estimates[(axis,)]) for axis in order]
        return tuple(Share(name, one.share, one.low, one.high) for name, one in found)

    def pair_shares(self) -> tuple[PairShare, ...]:
        """Returns the pairs' shares, largest first; of equal ones, first what the surrogate alone prefers."""
        order = sorted(self.whole.pairs, key=lambda pair: (-self.estimates[pair].share, -self.whole.pair(*pair)))
        return tuple(self._pair_share(a, b) for a, b in order)

    def _pair_share(self, a: int, b: int) -> PairShare:
        found, names, cells = self.estimates[a, b], self.space.names, self.values
        mean = tuple(tuple(map(float, line)) for line in self.whole.pairs[a, b])
        return PairShare(names[a], names[b], found.share, found.low, found.high, cells[a], cells[b], mean)

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
    found = corrected_shares(points, values, active, grid, waves(space), seed=seed)
    half_forests = []
    for _ in range(HALVES):
        half = rng.choice(len(values), len(values) // 2, replace=False)
        half_forests.append(Forest(points[half], values[half], active[half], grid, trees=HALF_TREES, rng=rng))
    return Fanova(
        space=space,
        forest=forest,
        whole=decompose(forest, wanted, seed=seed),
        estimates=found.of,
        halves=tuple(decompose(half, [], seed=seed) for half in half_forests),
        half_forests=tuple(half_forests),
        fit=found.fit,
    )


def cells(space: SearchSpace) -> list[Cells]:
    """Returns the cells of each coordinate of the cube: one for each value if there are few, otherwise 24."""
    found = []
    for domain in space.domains.values():
        uneven = not isinstance(domain, Choice) and domain.log  # cells of single values would differ in width
        discrete = domain.size <= CELLS and not uneven
        found.append(Cells(int(domain.size), True) if discrete else Cells(CELLS))
    return found


def waves(space: SearchSpace) -> list[int]:
    """Returns the cosines of each coordinate: those of a choice tell all its options apart."""
    most = [int(d.size) - 1 if isinstance(d, Choice) else WAVES for d in space.domains.values()]
    return [min(wanted, cell.count - 1) for wanted, cell in zip(most, cells(space), strict=True)]
