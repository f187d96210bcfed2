"""Anytime curves: the best value so far over charged epochs and over time, from a study's charges. Pure; arrays.

A curve is a step function given by its corners [[x, value], ...]: a value holds from its x on. The last corner marks
the end of the run; it repeats the value before it unless the curve rises there.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hpo.results.bounds import UNBOUNDED, Bounds
from hpo.results.statistics import interval
from hpo.store import columns as stored
from hpo.study.amounts import MILLION

Vector = NDArray[np.float64]
Whole = NDArray[np.int64]
Corners = tuple[tuple[float, float], ...]

POINTS = 160  # most places at which a band is computed: a figure has too few pixels to show more
CLOSE = 1e-9  # relative tolerance of virtual times, which are sums


@dataclass(frozen=True)
class Played:
    """The charges of one run in the order of its clock; all arrays [charges].

    `best`: the best value so far, with the metric's own sign; NaN before the first finite value. `seconds`: training
    time of the epoch, NaN if unknown. `trial`: the trial's number within the run. `charge`: epochs charged each time.
    `after`: how many charges had passed when the epoch's segment was handed out: its decision depends on them. `cost`:
    what the epoch cost, in millionths, NaN if unknown.
    """

    trial: Whole
    epoch: Whole
    value: Vector
    best: Vector
    seconds: Vector
    charge: int
    rows: Whole  # the charges' places in the stored table
    after: Whole
    cost: Vector

    def __len__(self) -> int:
        return len(self.epoch)

    @property
    def charged(self) -> Whole:
        """Epochs charged up to and including each charge."""
        return np.arange(1, len(self) + 1, dtype=np.int64) * self.charge

    @property
    def paid(self) -> Vector | None:
        """The cost up to and including each charge; None where one is unknown. Sums of millionths are exact."""
        return None if np.isnan(self.cost).any() else np.asarray(np.cumsum(self.cost) / MILLION)

    @property
    def incumbent(self) -> int | None:
        """The index of the first charge with the run's best value; None if no value is finite."""
        if not len(self) or math.isnan(self.best[-1]):
            return None
        return int(np.argmax(self.value == self.best[-1]))


def played(charges: pa.Table, epochs: pa.Table, mode: str, charge: int = 1) -> dict[str, Played]:
    """Returns each run's charges, by the run's name. `charge`: epochs charged for each epoch (k folds cost k)."""
    if not charges.num_rows:
        return {}
    names = charges.column("run").unique().to_pylist()
    run, order = stored.codes(charges.column("run"), names), stored.whole(charges, "order")
    rows = np.lexsort((order, run))
    bounds = np.searchsorted(run[rows], np.arange(len(names) + 1))
    number, epoch = stored.whole(charges, "number"), stored.whole(charges, "epoch")
    value, at, seen = (stored.numbers(charges, name) for name in ("value", "at", "seen"))
    cost = np.round(stored.numbers(charges, "cost") * MILLION)
    seconds = epoch_seconds(charges, epochs)
    found = {}
    for name, start, stop in zip(names, bounds, bounds[1:], strict=False):
        mine = rows[start:stop]
        best = best_so_far(value[mine], mode)
        after = decided_after(seen[mine], order[mine], number[mine], epoch[mine], at[mine])
        found[name] = Played(
            number[mine], epoch[mine], value[mine], best, seconds[mine], charge, mine, after, cost[mine]
        )
    return found


def best_so_far(values: Vector, mode: str) -> Vector:
    """Returns the best of values[: i + 1] at each i; NaN before the first finite value."""
    sign = 1.0 if mode == "max" else -1.0
    known = np.where(np.isfinite(values), sign * values, -np.inf)
    best = np.maximum.accumulate(known)
    return np.where(np.isfinite(best), sign * best, np.nan)


def epoch_seconds(charges: pa.Table, epochs: pa.Table) -> Vector:
    """Returns the training time of each charged epoch [charges]: the first attempt's seconds, NaN if no epoch is stored."""
    return of_epochs(epochs, "seconds", epoch_rows(charges, epochs))


def of_epochs(epochs: pa.Table, name: str, rows: Whole) -> Vector:
    """Returns a column's values in rows of `epochs` [rows]; NaN for null, for row -1 and without such a column."""
    values = np.append(stored.numbers(epochs, name), np.nan)
    return np.asarray(values[rows])


def epoch_rows(charges: pa.Table, epochs: pa.Table) -> Whole:
    """Returns the row in `epochs` of each charged epoch's first attempt [charges]; -1 if it is not stored."""
    if not epochs.num_rows or not charges.num_rows:
        return np.full(charges.num_rows, -1)
    trials = epochs.column("trial").unique().to_pylist()
    trained, wanted = stored.whole(epochs, "epoch"), stored.whole(charges, "epoch")
    longest = 1 + int(max(trained.max(), wanted.max()))
    cells = stored.codes(epochs.column("trial"), trials) * longest + trained
    attempt = stored.whole(epochs, "attempt") if "attempt" in epochs.schema.names else np.zeros_like(cells)
    order = np.argsort(
        cells * (1 + int(attempt.max())) + attempt
    )  # one key is sorted faster than two; each is there once
    cells = cells[order]
    code = stored.codes(charges.column("trial"), trials)
    cell = code * longest + wanted
    place = np.minimum(np.searchsorted(cells, cell), len(cells) - 1)
    return np.where((code >= 0) & (cells[place] == cell), order[place], -1)


def corners(x: Vector | Whole, best: Vector) -> Corners:
    """Returns the corners of a step curve: where it rises, and its end."""
    known = np.flatnonzero(~np.isnan(best))
    if not known.size:
        return ()
    first = int(known[0])
    rises = np.flatnonzero(np.diff(best[first:])) + first + 1
    places = np.unique([first, *rises, len(best) - 1])
    return tuple(zip(x[places].tolist(), best[places].tolist(), strict=True))


def area(run: Played, end: int) -> float | None:
    """Returns the mean of the best value so far over the charged epochs from the first value to `end`.

    This is the mean height of the anytime curve. A run that ended before `end` keeps its last value.
    """
    return _height(run, np.ones(len(run)), end // run.charge)


def area_over_cost(run: Played, end: float) -> float | None:
    """Returns the same mean over the cost of the epochs, from the first value to a cost of `end`."""
    return None if run.paid is None else _height(run, run.cost, end * MILLION)


def _height(run: Played, widths: Vector, end: float) -> float | None:
    known = ~np.isnan(run.best)
    if not known.any():
        return None
    more = max(0.0, end - widths.sum())
    return float(((run.best[known] * widths[known]).sum() + more * run.best[-1]) / (widths[known].sum() + more))


def epochs_to(curve: Iterable[tuple[float, float]], target: float, mode: str) -> int | None:
    """Returns the charged epochs after which the target was reached; None if it was not."""
    sign = 1 if mode == "max" else -1
    return next((int(x) for x, value in curve if sign * value >= sign * target), None)


def decided_after(seen: Vector, order: Whole, trial: Whole, epoch: Whole, at: Vector) -> Whole:
    """Returns how many charges of a run had passed when each epoch's segment was handed out [charges].

    `seen`: how many events had, in the run's order; NaN where the store does not have it, since an earlier version wrote
    it. There the virtual clock `at` tells: a trial that paused was resumed after all that ended before its epoch began,
    and nothing is known about what decided other segments.
    """
    known = np.isfinite(seen)
    after = np.searchsorted(order, np.where(known, seen, 0.0))
    if not known.all():
        after = np.where(known, after, _resumed_after(trial, epoch, at))
    return np.minimum(after, np.arange(len(order)))


def _resumed_after(trial: Whole, epoch: Whole, at: Vector) -> Whole:
    """Returns how many charges had ended when a paused trial was resumed, by the virtual clock; 0 elsewhere [charges]."""
    rows = np.lexsort((epoch, trial))
    later = np.flatnonzero(np.diff(trial[rows]) == 0) + 1  # epochs after the first of their trial
    mine, took = trial[rows[later]], at[rows[later]] - at[rows[later - 1]]
    tick = _ticks(trial, at, mine, took)
    paused = took > tick[mine] * (1 + CLOSE)
    resumed = rows[later[paused]]
    began = at[resumed] - tick[mine[paused]]
    after = np.zeros(len(trial), dtype=np.int64)
    after[resumed] = np.searchsorted(np.maximum.accumulate(at), began * (1 + CLOSE), side="right")
    return after


def _ticks(trial: Whole, at: Vector, mine: Whole, took: Vector) -> Vector:
    """Returns the virtual time of an epoch by trial, as the clock bounds it [trials].

    It is at most what any epoch of the trial took, pauses included, and what passed before the first one ended. If all
    epochs end at multiples of the least bound, every epoch takes that long.
    """
    tick = np.full(int(trial.max(initial=-1)) + 1, np.inf)
    np.minimum.at(tick, trial, at)
    np.minimum.at(tick, mine, took)
    least = tick.min(initial=np.inf)
    even = least > 0 and np.allclose(at / least, np.round(at / least), rtol=0, atol=1e-6)
    return np.full_like(tick, least) if even else tick


def ends_alone(trial: Whole, seconds: Vector, workers: int, after: Whole | None = None) -> Vector:
    """Returns when each charged epoch would have ended with the method alone on `workers` workers, in seconds [charges].

    List scheduling in the order of the run's clock: an epoch starts once its trial's previous epoch has ended, the first
    `after` charges have (its segment was decided by them; default: none) and a worker is free, on the worker that became
    free last before then (the trial's own unless it paused). Unknown durations count as the mean of the known ones, or
    as 0 if none is known.
    """
    if not len(trial):
        return np.array([])
    known = seconds[np.isfinite(seconds)]
    durations = np.where(np.isfinite(seconds), seconds, known.mean() if known.size else 0.0)
    if workers == 1:
        return np.asarray(np.cumsum(durations))
    free = [0.0] * workers
    ready = [0.0] * (int(trial.max()) + 1)
    ends = []
    passed, latest = [0.0], 0.0  # when the first n charges had ended
    decided = [0] * len(trial) if after is None else after.tolist()
    for number, duration, needs in zip(trial.tolist(), durations.tolist(), decided, strict=True):
        begin, decision = ready[number], passed[needs]
        if decision > begin:  # not max(): a call costs more than the comparison
            begin = decision
        place = bisect_right(free, begin) - 1
        if place >= 0:
            del free[place]
        else:
            begin = free.pop(0)
        end = begin + duration
        insort(free, end)
        ready[number] = end
        ends.append(end)
        if end > latest:
            latest = end
        passed.append(latest)
    return np.array(ends)


def over_time(run: Played, ends: Vector, mode: str) -> Corners:
    """Returns the anytime curve over the seconds at which epochs end."""
    order = np.argsort(ends, kind="stable")
    best = best_so_far(run.value[order], mode)
    last = np.append(np.diff(ends[order]) > 0, True)  # the last of epochs that end together
    return corners(ends[order][last], best[last])


def at(curve: Sequence[tuple[float, float]], x: Vector) -> Vector:
    """Returns the step curve's values at x [points]; NaN before its first corner."""
    if not curve:
        return np.full(len(x), np.nan)
    steps = np.array(curve)
    place = np.searchsorted(steps[:, 0], x, side="right") - 1
    return np.where(place >= 0, steps[place, 1], np.nan)


def band(curves: Sequence[Corners], x: Vector, bounds: Bounds = UNBOUNDED) -> tuple[Vector, Vector, Vector]:
    """Returns the mean of step curves at x [points] with its 95 percent interval: (mean, low, high).

    `bounds`: of the metric; the interval stays within them. NaN until every curve has begun; the interval of a single
    curve is NaN throughout.
    """
    values = np.array([at(curve, x) for curve in curves if curve]).reshape(-1, len(x))
    if not len(values):
        return (np.full(len(x), np.nan),) * 3
    mean = values.mean(axis=0)
    low, high = interval(values.T, bounds=bounds)
    return mean, low, high


def mean_band(curves: Sequence[Corners], bounds: Bounds = UNBOUNDED) -> tuple[Vector, Vector, Vector, Vector] | None:
    """Returns (x, mean, low, high) of curves from the last one's start to the last one's end; None without a curve.

    The mean changes at every x but where there are more than `POINTS`: then it is taken at evenly spaced ones.
    """
    known = [curve for curve in curves if curve]
    if not known:
        return None
    first, last = max(curve[0][0] for curve in known), max(curve[-1][0] for curve in known)
    places = np.unique([x for curve in known for x, _ in curve if first <= x <= last])
    x = places if len(places) <= POINTS else np.linspace(first, last, POINTS)
    return x, *band(known, x, bounds)
