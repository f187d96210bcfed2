"""The checked table of recorded learning curves: configurations of a study's space, one curve each. Pure."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import HpoError
from hpo.study.space import Choice, Config, Int, SearchSpace, Value, same
from hpo.study.values import digest
from hpo.text import nearest

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

NOTHING = ("none", "null")  # options, in lower case, that tables write as an empty cell


class CurvesError(HpoError):
    """Recorded curves that cannot be read, or cannot answer a study: one sentence."""


@dataclass(frozen=True)
class Raw:
    """Curves as a source holds them: `rows` [n][d] of hyperparameters by `names`, `values` [n, epochs], NaN for none.

    `seconds` [n]: of an epoch. `failed` [n]: whether training failed where the curve ends; None: every curve shorter
    than the longest failed. `trials`: the rows are a tool's trials: they may repeat a configuration, may set constants
    that the study does not name, may report on after a NaN, and may have failed before they had a whole configuration.
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
    `seconds[i]`: of an epoch. `notes`: what a user must know of the reading, a sentence each.
    """

    source: str
    configs: tuple[Config, ...]
    values: Matrix
    known: NDArray[np.int64]
    failed: Flags
    seconds: Matrix
    notes: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """The number of epochs of the longest recorded curve."""
        return int(self.known.max(initial=0))


def table(source: str, space: SearchSpace, raw: Raw) -> RecordedTable:
    """Checks the curves of a source and converts them to the study's types. Raises CurvesError."""
    if not len(raw.rows):
        raise CurvesError(f"{source} must record at least one configuration, but records none")
    if raw.trials:
        raw = without_constants(raw, space.domains)
    for name in raw.names:
        if name not in space.domains:
            raise CurvesError(
                f"{source} records {name!r}, which the study's space does not name; {nearest(name, space.names)}"
            )
    for name in space.names:
        if name not in raw.names:
            raise CurvesError(f"{source} must record every hyperparameter of the study, but has no {name!r}")
    notes: list[str] = []
    if raw.trials:
        raw = _begun(raw, space, source, notes)
    configs = [_config(space, dict(zip(raw.names, row, strict=True)), source) for row in raw.rows]
    known = _lengths(raw.values)
    values, failed = _ended(raw, known, source, notes)
    seconds = _seconds(raw, source)
    kept = _longest_of_each(configs, known) if raw.trials else list(range(len(configs)))
    _check_once([configs[i] for i in kept], source)
    return RecordedTable(
        source, tuple(configs[i] for i in kept), values[kept], known[kept], failed[kept], seconds[kept], tuple(notes)
    )


def matrix(curves: Sequence[Sequence[float]]) -> Matrix:
    """Returns curves of different lengths as [n, longest], NaN after their ends."""
    values = np.full((len(curves), max(map(len, curves), default=0)), np.nan)
    for i, curve in enumerate(curves):
        values[i, : len(curve)] = curve
    return values


def without_constants(raw: Raw, named: Container[str] = ()) -> Raw:
    """Drops hyperparameters that are not `named` and that no trial varies: they are settings of the tool's trials."""
    kept = [j for j, name in enumerate(raw.names) if name in named or len({str(row[j]) for row in raw.rows}) > 1]
    rows = [[row[j] for j in kept] for row in raw.rows]
    return replace(raw, names=[raw.names[j] for j in kept], rows=rows)


def _begun(raw: Raw, space: SearchSpace, source: str, notes: list[str]) -> Raw:
    """Leaves out trials that failed before they had a value and a whole configuration: they answer nothing."""
    empty = ~np.isfinite(raw.values).any(axis=1) & (np.zeros(len(raw.rows), bool) if raw.failed is None else raw.failed)
    kept = [
        i
        for i, row in enumerate(raw.rows)
        if not (empty[i] and _lacking(space, dict(zip(raw.names, row, strict=True))))
    ]
    if not kept:
        raise CurvesError(f"{source} must record a trial with a whole configuration, but all {len(raw.rows)} lack one")
    if (left := len(raw.rows) - len(kept)) > 0:
        notes.append(f"trials left out, since they failed before they had a whole configuration: {left}")
    return replace(
        raw, rows=[raw.rows[i] for i in kept], values=raw.values[kept], seconds=raw.seconds[kept],
        failed=None if raw.failed is None else raw.failed[kept],
    )  # fmt: skip


def _lacking(space: SearchSpace, raw: Mapping[str, Any]) -> bool:
    """Tells whether a hyperparameter that must have a value has none."""
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        if not space.active(name, config):
            continue
        value = raw[name]
        if isinstance(domain, Choice):
            found = _option(domain, value)
            if not found:
                return missing(value)
            config[name] = found[0]
        elif missing(value):
            return True
        else:
            config[name] = value
    return False


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


def _lengths(values: Matrix) -> NDArray[np.int64]:
    """Returns how many epochs of each curve are known: those before the first NaN or infinity."""
    stops = ~np.isfinite(np.pad(values, ((0, 0), (0, 1)), constant_values=np.nan))
    return np.asarray(stops.argmax(axis=1), dtype=np.int64)


def _ended(raw: Raw, known: NDArray[np.int64], source: str, notes: list[str]) -> tuple[Matrix, Flags]:
    """Returns the values, with nothing after a curve's end, and which curves failed there.

    A trial of a tool may have reported on after its loss was NaN or infinite: its curve fails there, and a note counts
    these trials. In the documented layouts such a curve is a mistake.
    """
    later = np.arange(raw.values.shape[1]) >= known[:, None]
    broken = (np.isfinite(raw.values) & later).any(axis=1)
    failed = known < raw.values.shape[1] if raw.failed is None else raw.failed
    if broken.any() and not raw.trials:
        row = int(broken.argmax())
        raise CurvesError(
            f"{source}: a NaN or infinity must end a curve, but row {row} goes on after the one at epoch "
            f"{known[row] + 1}; remove what follows it, or give the missing value"
        )
    if broken.any():
        notes.append(f"trials that reported on after a NaN or infinity, and count as failed there: {int(broken.sum())}")
    return np.where(later, np.nan, raw.values), failed | broken


def _seconds(raw: Raw, source: str) -> Matrix:
    """Returns the seconds of an epoch, 1 where a tool's trial has no usable time. Raises CurvesError elsewhere."""
    usable = np.isfinite(raw.seconds) & (raw.seconds >= 0)
    if raw.trials:
        return np.where(usable, raw.seconds, 1.0)
    if not usable.all():
        row = int(usable.argmin())
        raise CurvesError(f"{source}: seconds must be finite and >= 0, but row {row} has {raw.seconds[row]}")
    return raw.seconds


def _config(space: SearchSpace, raw: Mapping[str, Any], source: str) -> Config:
    """Converts raw values to the space's types. They may lie outside a range: the nearest configuration still answers."""
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        if not space.active(name, config):
            continue
        value = raw[name]
        if isinstance(domain, Choice):
            found = _option(domain, value)
            if not found:
                raise CurvesError(f"{source}: {name} must be one of {domain.describe()}, but got {value!r}")
            config[name] = found[0]
        else:
            number = _number(value)
            if not math.isfinite(number):
                raise CurvesError(f"{source}: {name} must be a finite number, but got {value!r}")
            config[name] = round(number) if isinstance(domain, Int) else domain.snap(number)
    return config


def _option(domain: Choice, value: Any) -> list[Value]:
    """Returns the options that a raw value may mean, the best first; an empty cell means the option None."""
    exact = [option for option in domain.options if same(option, value)]
    alike = [option for option in domain.options if option == value or str(option) == str(value)]
    nothing = [option for option in domain.options if missing(value) and str(option).lower() in NOTHING]
    return exact or alike or nothing


def missing(value: Any) -> bool:
    """Tells whether a raw value is a cell without content."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
