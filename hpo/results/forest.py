"""A forest over the unit cube and its functional decomposition (fANOVA). Arrays only; knows nothing of studies.

Hutter, Hoos and Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance": a tree is
constant on boxes, so its marginals are exact sums over leaves. We deviate twice, because forests of greedy trees
hardly see pure interactions (they read a true share of 1 among six variables at 300 points as 0.77 or less). First,
the trees are extremely randomized and grown to single points, so a split needs no gain at the root. Second, we
decompose the mean of the trees; the paper averages the shares of the single trees, noise included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

ROUNDING = 1e-5  # trees compare in single precision
PLACES = 2**11  # points of the cube at which the forest's total variance is sampled


@dataclass(frozen=True)
class Cells:
    """Equal cells of a coordinate. `discrete`: each cell is one value, and points lie only in the middles of cells."""

    count: int
    discrete: bool = False

    @property
    def middles(self) -> Vector:
        return (np.arange(self.count) + 0.5) / self.count

    def edge(self, place: Vector) -> Vector:
        """Returns the edge that a split at `place` means: between two discrete values a split may lie anywhere."""
        if not self.discrete:
            return place
        return np.asarray(np.floor(place * self.count + 0.5 + ROUNDING).clip(0, self.count) / self.count)

    def middle(self, place: Vector) -> Vector:
        """Returns the value whose cell contains `place`."""
        return (np.floor(place * self.count) + 0.5) / self.count if self.discrete else place


@dataclass(frozen=True)
class Leaves:
    """A tree as boxes: `low`, `high` [leaves, dimensions] within [0, 1], `value` [leaves]."""

    low: Matrix
    high: Matrix
    value: Vector


class Forest:
    """Extremely randomized trees (Geurts et al. 2006) over points of the unit cube.

    `points` [n, d], `values` [n], `cells` [d]; `active` [n, d] is False if a coordinate does not exist for a point.
    Each tree then sees it at a random place and so learns that the coordinate changes nothing there.
    """

    def __init__(
        self,
        points: Matrix,
        values: Vector,
        active: Flags,
        cells: Sequence[Cells],
        *,
        trees: int,
        rng: np.random.Generator,
    ) -> None:
        from sklearn.tree import ExtraTreeRegressor  # half a second, which a study with too few trials need not wait

        self.cells = tuple(cells)
        self._trees = []
        for _ in range(trees):
            seen = points if active.all() else np.where(active, points, on_middles(rng.random(points.shape), cells))
            tree = ExtraTreeRegressor(max_features=1.0, random_state=int(rng.integers(2**31)))
            # For trees of this size scikit-learn's checks take longer than the fit: pass float32 and skip them.
            self._trees.append(tree.fit(seen.astype(np.float32), values.reshape(-1, 1), check_input=False))

    def predict(self, points: Matrix) -> Vector:
        """Returns the mean of the trees at points [n, d] of the cube."""
        places = points.astype(np.float32)
        return np.asarray(np.mean([tree.predict(places, check_input=False) for tree in self._trees], axis=0))

    def leaves(self) -> list[Leaves]:
        """Returns the trees' boxes; splits of discrete coordinates are moved to the edges of cells."""
        return [_on_edges(_leaves(tree.tree_, len(self.cells)), self.cells) for tree in self._trees]


def on_middles(points: Matrix, cells: Sequence[Cells]) -> Matrix:
    """Returns the points [n, d] with discrete coordinates moved to the middles of their cells."""
    return np.column_stack([cell.middle(points[:, j]) for j, cell in enumerate(cells)])


def _leaves(tree: object, dimensions: int) -> Leaves:
    left, right, feature, threshold, value = (
        np.asarray(getattr(tree, name)) for name in ("children_left", "children_right", "feature", "threshold", "value")
    )
    low, high = np.zeros((len(left), dimensions)), np.ones((len(left), dimensions))
    level = np.array([0])
    while len(level):  # from the root down, all nodes of one depth together
        level = level[feature[level] >= 0]
        axis, below, above = feature[level], left[level], right[level]
        for child in (below, above):
            low[child], high[child] = low[level], high[level]
        high[below, axis] = threshold[level]
        low[above, axis] = threshold[level]
        level = np.concatenate([below, above])
    leaf = feature < 0
    return Leaves(low[leaf], high[leaf], value[leaf, 0, 0])


@dataclass(frozen=True)
class Decomposition:
    """The forest's variance over the cube, by single coordinates and pairs.

    `singles`: a coordinate's marginal mean in each cell [cells]. `pairs`: the mean in each cell of two coordinates
    [cells, cells]. `total`: the variance of the whole function.
    """

    mean: float
    total: float
    singles: tuple[Vector, ...]
    pairs: Mapping[tuple[int, int], Matrix]

    def single(self, axis: int) -> float:
        """Returns the share of the variance that a coordinate explains alone."""
        return self._share(self.singles[axis])

    def pair(self, a: int, b: int) -> float:
        """Returns the share that two coordinates, a < b, explain together beyond what each explains alone."""
        return max(0.0, self._share(self.pairs[a, b]) - self.single(a) - self.single(b))

    def _share(self, marginal: Vector) -> float:
        return float(np.mean((marginal - self.mean) ** 2) / self.total) if self.total > 0 else 0.0

    @property
    def unexplained(self) -> float:
        """The share left to interactions of three or more, and to pairs that were not computed."""
        known = sum(map(self.single, range(len(self.singles)))) + sum(self.pair(a, b) for a, b in self.pairs)
        return max(0.0, 1.0 - known)


def decompose(forest: Forest, pairs: Sequence[tuple[int, int]], *, seed: int) -> Decomposition:
    """Decomposes the forest over the cells of each coordinate, with the given pairs (a, b), a < b."""
    from scipy.stats import qmc

    cells = forest.cells
    parts = [_marginals(leaves, cells, pairs) for leaves in forest.leaves()]
    mean = float(np.mean([part[0] for part in parts]))
    singles = tuple(np.mean([part[1][j] for part in parts], axis=0) for j in range(len(cells)))
    joint = {pair: np.mean([part[2][pair] for part in parts], axis=0) for pair in pairs}
    places = qmc.Sobol(len(cells), rng=np.random.default_rng(seed)).random(PLACES)
    total = float(np.var(forest.predict(on_middles(places, cells))))
    # The total is sampled: it must not come out smaller than its exactly known parts.
    alone = [float(np.mean((marginal - mean) ** 2)) for marginal in (*singles, *joint.values())]
    return Decomposition(mean, max(total, *alone), singles, joint)


def _on_edges(leaves: Leaves, cells: Sequence[Cells]) -> Leaves:
    low = np.column_stack([cell.edge(leaves.low[:, j]) for j, cell in enumerate(cells)])
    high = np.column_stack([cell.edge(leaves.high[:, j]) for j, cell in enumerate(cells)])
    return Leaves(low, high, leaves.value)


def _marginals(
    leaves: Leaves, cells: Sequence[Cells], pairs: Sequence[tuple[int, int]]
) -> tuple[float, list[Vector], dict[tuple[int, int], Matrix]]:
    """Returns a tree's mean, and its marginals in each cell of each coordinate and of each pair."""
    extent = leaves.high - leaves.low
    volume = extent.prod(axis=1)
    whole = np.where(extent > 0, extent, 1.0)  # avoids 0 / 0: a box without volume weighs nothing
    overlap = [_overlap(leaves, j, cell.count) for j, cell in enumerate(cells)]
    singles = [(volume / whole[:, j] * leaves.value) @ overlap[j] for j in range(len(cells))]
    joint = {}
    for a, b in pairs:
        weight = volume / (whole[:, a] * whole[:, b]) * leaves.value
        joint[a, b] = (overlap[a] * weight[:, None]).T @ overlap[b]
    return float(volume @ leaves.value), singles, joint


def _overlap(leaves: Leaves, axis: int, count: int) -> Matrix:
    """Returns the share of each cell that each leaf covers along an axis [leaves, cells], 0 to 1."""
    edges = np.linspace(0, 1, count + 1)
    high = np.minimum(leaves.high[:, axis, None], edges[1:])
    low = np.maximum(leaves.low[:, axis, None], edges[:-1])
    return np.asarray(np.clip(high - low, 0.0, None) * count)
