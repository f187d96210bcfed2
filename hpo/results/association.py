"""Association of two hyperparameters among good configurations (Migayo et al. 2023: batch size, learning rate). Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

GOOD = 0.25  # the share of configurations that count as good
FEWEST = 4  # good configurations needed for a rank correlation


@dataclass(frozen=True)
class Association:
    """Whether good values of `a` and `b` rise together.

    `rho`, `p`: Spearman's rank correlation of a and b over the best quarter of `trials` (`good` of them); None if these
    are fewer than four or a or b never varies. `best`: for each value of a (groups of equal size if a is continuous)
    the b of the best trial and its metric. `rho_best`: rank correlation along `best`.
    """

    a: str
    b: str
    trials: int
    good: int
    rho: float | None
    p: float | None
    rho_best: float | None
    best: tuple[tuple[float, float, float], ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "best": [list(row) for row in self.best]}


def association(
    a: str, b: str, configs: Sequence[Mapping[str, Any]], values: Sequence[float], *, mode: str, groups: int = 5
) -> Association | None:
    """Computes the association of two numeric hyperparameters over trials; None if no trial has both as numbers."""
    rows = [
        (float(config[a]), float(config[b]), value)
        for config, value in zip(configs, values, strict=True)
        if _number(config.get(a)) and _number(config.get(b)) and math.isfinite(value)
    ]
    if not rows:
        return None
    table = np.array(rows)
    sign = 1.0 if mode == "max" else -1.0
    order = np.argsort(-sign * table[:, 2], kind="stable")
    good = table[order[: max(FEWEST, math.ceil(GOOD * len(table)))]]
    rho, p = _rank_correlation(good[:, 0], good[:, 1])
    best = tuple(_best_by_group(table, sign, groups))
    along = _rank_correlation(np.array([row[0] for row in best]), np.array([row[1] for row in best]))[0]
    return Association(a, b, len(table), len(good), rho, p, along, best)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rank_correlation(x: Vector, y: Vector) -> tuple[float | None, float | None]:
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None, None
    from scipy.stats import spearmanr

    found = spearmanr(x, y)
    return float(found.statistic), float(found.pvalue)


def _best_by_group(table: Vector, sign: float, groups: int) -> list[tuple[float, float, float]]:
    distinct = np.unique(table[:, 0])
    if len(distinct) > 2 * groups:  # continuous: groups of equal size, named by their median
        order = np.argsort(table[:, 0], kind="stable")
        parts = [table[part] for part in np.array_split(order, groups)]
    else:
        parts = [table[table[:, 0] == value] for value in distinct]
    found = []
    for part in parts:
        _, b, value = part[np.argmax(sign * part[:, 2])]
        found.append((float(np.median(part[:, 0])), float(b), float(value)))
    return found
