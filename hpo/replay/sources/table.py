"""The checked table of recorded learning curves: configurations of a study's space, one curve each. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import HpoError
from hpo.study.space import Choice, Config, Int, SearchSpace, Value
from hpo.study.values import digest
from hpo.text import nearest

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]


class CurvesError(HpoError):
    """Recorded curves that cannot be read, or cannot answer a study: one sentence."""


@dataclass(frozen=True)
class Raw:
    """Curves as a source holds them: `rows` [n][d] of hyperparameters by `names`, `values` [n, epochs], NaN for none.

    `seconds` [n]: of an epoch. `failed` [n]: whether training failed where the curve ends; None: every curve shorter
    than the longest failed. `trials`: the rows are a tool's trials, which may repeat a configuration and may set
    constants that the study does not name.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    values: Matrix
    seconds: Matrix
    failed: Flags | None = None
    trials: bool = False


@dataclass(frozen=True)
class RecordedTable:
    """`values[i, e - 1]` is the metric of `configs[i]` after epoch e; NaN after its last recorded epoch.

    `known[i]`: the number of recorded epochs; `failed[i]`: whether training failed after them, rather than just ended.
    `seconds[i]`: of an epoch.
    """

    source: str
    configs: tuple[Config, ...]
    values: Matrix
    known: NDArray[np.int64]
    failed: Flags
    seconds: Matrix

    @property
    def epochs(self) -> int:
        """The number of epochs of the longest recorded curve."""
        return int(self.known.max(initial=0))


def table(source: str, space: SearchSpace, raw: Raw) -> RecordedTable:
    """Checks the curves of a source and converts them to the study's types. Raises CurvesError."""
    if not len(raw.rows):
        raise CurvesError(f"{source} must record at least one configuration, but records none")
    if raw.trials:
        raw = _without_constants(raw, space)
    for name in raw.names:
        if name not in space.domains:
            raise CurvesError(
                f"{source} records {name!r}, which the study's space does not name; {nearest(name, space.names)}"
            )
    for name in space.names:
        if name not in raw.names:
            raise CurvesError(f"{source} must record every hyperparameter of the study, but has no {name!r}")
    configs = [_config(space, dict(zip(raw.names, row, strict=True)), source) for row in raw.rows]
    known = _lengths(raw.values, source)
    failed = known < raw.values.shape[1] if raw.failed is None else raw.failed
    kept = _longest_of_each(configs, known) if raw.trials else list(range(len(configs)))
    _check_once([configs[i] for i in kept], source)
    return RecordedTable(
        source, tuple(configs[i] for i in kept), raw.values[kept], known[kept], failed[kept], raw.seconds[kept]
    )


def matrix(curves: Sequence[Sequence[float]]) -> Matrix:
    """Returns curves of different lengths as [n, longest], NaN after their ends."""
    values = np.full((len(curves), max(map(len, curves), default=0)), np.nan)
    for i, curve in enumerate(curves):
        values[i, : len(curve)] = curve
    return values


def _without_constants(raw: Raw, space: SearchSpace) -> Raw:
    """Drops hyperparameters that the space does not name and no trial varies: they are settings of the tool's trials."""
    kept = [
        j for j, name in enumerate(raw.names) if name in space.domains or len({str(row[j]) for row in raw.rows}) > 1
    ]
    rows = [[row[j] for j in kept] for row in raw.rows]
    return replace(raw, names=[raw.names[j] for j in kept], rows=rows)


def _longest_of_each(configs: Sequence[Config], known: NDArray[np.int64]) -> list[int]:
    """Returns the rows of the longest trial of each configuration; of equally long ones the first."""
    best: dict[str, int] = {}
    for i, config in enumerate(configs):
        name = digest(dict(config))
        if name not in best or known[i] > known[best[name]]:
            best[name] = i
    return sorted(best.values())


def _check_once(configs: Sequence[Config], source: str) -> None:
    seen: set[str] = set()
    for config in configs:
        name = digest(dict(config))
        if name in seen:
            raise CurvesError(f"{source} must record each configuration once, but has {dict(config)} twice")
        seen.add(name)


def _lengths(values: Matrix, source: str) -> NDArray[np.int64]:
    """Returns how many epochs of each curve are known."""
    finite = np.isfinite(values)
    known = np.where(finite.all(axis=1), values.shape[1], finite.argmin(axis=1))
    later = np.arange(values.shape[1]) >= known[:, None]
    broken = (finite & later).any(axis=1)
    if broken.any():
        row = int(broken.argmax())
        raise CurvesError(
            f"{source}: a NaN must end a curve, but row {row} goes on after the one at epoch {known[row] + 1}; "
            "remove what follows it, or give the missing value"
        )
    return np.asarray(known, dtype=np.int64)


def _config(space: SearchSpace, raw: Mapping[str, Any], source: str) -> Config:
    """Converts raw values to the space's types. They may lie outside a range: the nearest configuration still answers."""
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        if not space.active(name, config):
            continue
        value = raw[name]
        if isinstance(domain, Choice):
            same = [option for option in domain.options if option == value or str(option) == str(value)]
            if not same:
                raise CurvesError(f"{source}: {name} must be one of {domain.describe()}, but got {value!r}")
            config[name] = same[0]
        else:
            number = _number(value)
            if not math.isfinite(number):
                raise CurvesError(f"{source}: {name} must be a finite number, but got {value!r}")
            config[name] = round(number) if isinstance(domain, Int) else domain.snap(number)
    return config


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
