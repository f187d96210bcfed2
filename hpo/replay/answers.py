"""The table of curves, answered from recorded ones: which curve answers for a trial, and how often each kind does. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.game.curves import Cell, Curves, Failed, Trained
from hpo.replay.sources import CurvesError, RecordedFunction, RecordedTable
from hpo.replay.weather import Weather
from hpo.study.space import Config, SearchSpace
from hpo.study.values import TrialKey

Between = Literal["nearest", "surrogate"]
FEWEST = 8  # curves that a surrogate is fitted to


@dataclass
class Answers:
    """How many trials were answered by what.

    exact: by their own curve; others: by the nearest recorded configuration or the surrogate; continued: by their own
    curve until it ended too early, then like the others; computed: by a benchmark's function. `correlation`: of the
    surrogate, see CurveForest.
    """

    between: Between = "nearest"
    exact: int = 0
    others: int = 0
    continued: int = 0
    correlation: float = float("nan")
    computed: int = 0

    def __add__(self, other: Answers) -> Answers:
        counts = (self.exact + other.exact, self.others + other.others, self.continued + other.continued)
        return Answers(self.between, *counts, self.correlation, self.computed + other.computed)

    def sentence(self) -> str:
        """Returns the counts as a sentence for a user."""
        if self.computed:
            return f"{self.computed} trials answered by the benchmark's surrogate"
        source = "the nearest recorded configuration"
        if self.between == "surrogate":
            source = f"a surrogate (rank correlation with curves that it has not seen: {self.correlation:.2f})"
        told = f"{self.exact} trials answered by their own curve, {self.others} by {source}"
        both = f", {self.continued} by their own curve until it ended and then by {source.split(' (')[0]}"
        return told + (both if self.continued else "")


class RecordedCurves(Curves):
    """The table of curves, answered from recorded ones.

    `own` holds curves by trial id (from a store of this study), `own_seconds` the times of their epochs; they answer
    exactly, as far as they go. So does the row of `table` with the same configuration. Unrecorded configurations take
    the nearest recorded curve that reaches the study's `max_epochs` or failed, or the prediction of a surrogate fitted
    to the curves that reach it. If the nearest configuration failed before its first epoch, the trial fails too,
    whatever a surrogate predicts. A function in place of the table answers every configuration itself; `timed`: its
    epochs take the seconds that it tells.

    Where the space is a pool, a candidate is answered by its own curve alone: where that just ends, its training ended.
    """

    def __init__(
        self,
        table: RecordedTable | RecordedFunction | None,
        space: SearchSpace,
        weather: Weather,
        *,
        max_epochs: int,
        own: Curves | None = None,
        own_seconds: Mapping[str, float] | None = None,
        between: Between = "nearest",
        timed: bool = True,
    ) -> None:
        super().__init__()
        self.answers = Answers(between)
        self._own, self._space, self._weather = own or Curves(), space, weather
        self._table = table if isinstance(table, RecordedTable) else None
        self._function = None if isinstance(table, RecordedTable) else table
        self._own_seconds, self._is_timed = dict(own_seconds or {}), timed
        self.failures = self._own.failures
        self._last = max_epochs if space.pool is not None else 0  # a pool's curves end by themselves before it
        self._row: dict[str, int] = {}  # the trial's own row of the table
        self._timed: dict[str, int] = {}  # the row whose epoch times the trial takes
        self._between: dict[
            str, list[float]
        ] = {}  # the curve where the trial's own does not answer; it fails at its end
        self._met: dict[str, TrialKey] = {}
        self._seconds: dict[int, tuple[Config, float]] = {}  # by the configuration's id(), valid because it is kept
        self._doom: dict[str, int | None] = {}
        if self._table is not None:
            self._learn(self._table, max_epochs)

    def _learn(self, table: RecordedTable, max_epochs: int) -> None:
        self._place = {_name(config): i for i, config in enumerate(table.configs)}
        self._curves: list[list[float]] = [
            row[:known] for row, known in zip(table.values.tolist(), table.known, strict=True)
        ]
        whole = table.known >= max_epochs
        self._full = np.flatnonzero(whole | table.failed)
        self._reach = table.known[self._full]
        self._features = np.array([self._space.features(table.configs[i]) for i in self._full])
        self._norms = (self._features**2).sum(axis=1)
        if self.answers.between == "surrogate":
            self._fit(table, np.flatnonzero(whole), max_epochs)

    def _fit(self, table: RecordedTable, rows: NDArray[np.int64], max_epochs: int) -> None:
        from hpo.replay.curve_forest import CurveForest

        if len(rows) < FEWEST:
            raise CurvesError(
                f"a surrogate needs at least {FEWEST} configurations trained to epoch {max_epochs}, but "
                f"{table.source} has {len(rows)}; use --between nearest"
            )
        features = np.array([self._space.features(table.configs[i]) for i in rows])
        self._forest = CurveForest(features, table.values[rows, :max_epochs])
        self.answers.correlation = self._forest.correlation

    def meet(self, key: TrialKey) -> TrialKey:
        """Looks up once what answers for a trial that a run asks for; returns its key."""
        if key.id not in self._met:
            self._met[key.id] = key
            self._doom[key.id] = self._weather.fails_at(key.id, key.max_epochs)
            self._find(key)
        self._seconds[id(key.config)] = (key.config, self._epoch_seconds(key))
        return key

    def _find(self, key: TrialKey) -> None:
        if self._own.known(key.id) > 0 or self._own.closed(key.id):
            self.answers.exact += 1
        elif self._function is not None:
            self._between[key.id], seconds = self._function.curve(key.config)
            self._own_seconds[key.id] = seconds if self._is_timed else 1.0
            self.answers.computed += 1
        elif self._table is not None:
            row = self._place.get(_name(key.config))
            if row is not None:
                self._row[key.id] = self._timed[key.id] = row
                self.answers.exact += 1
            else:
                self._timed[key.id] = near = self._nearest(key.config, 1)
                self._between[key.id] = self._answer_between(key.config, near)
                self.answers.others += 1

    def _answer_between(self, config: Config, row: int) -> list[float]:
        """Returns the curve that answers for a configuration whose nearest row is `row`."""
        if self.answers.between == "surrogate" and self._curves[row]:
            found: list[float] = self._forest.curves(self._space.features(config)[None])[0].tolist()
            return found
        return self._curves[row]

    def _nearest(self, config: Config, epoch: int) -> int:
        """Returns the nearest row that was trained to the end, or failed at `epoch` or later."""
        distances = self._norms - 2 * (self._features @ self._space.features(config))  # squared, less a common summand
        if epoch > 1:
            distances = np.where(self._reach >= epoch - 1, distances, np.inf)
        return int(self._full[int(distances.argmin())])

    def seconds(self, config: Config) -> float | None:
        """Returns the time of an epoch in seconds, with the weather's factor; None for an unknown configuration."""
        found = self._seconds.get(id(config))
        return None if found is None else found[1]

    def expected_seconds(self, config: Config) -> float:
        """Returns the recorded time of an epoch of the same or the nearest configuration: what a method may know before."""
        if self._table is None:
            return 1.0
        row = self._place.get(_name(config))
        if row is None and not len(self._full):
            return 1.0
        return float(self._table.seconds[self._nearest(config, 1) if row is None else row])

    def _epoch_seconds(self, key: TrialKey) -> float:
        base = self._own_seconds.get(key.id)
        if base is None and self._table is not None:
            row = self._timed.get(key.id)
            base = None if row is None else float(self._table.seconds[row])
        return (1.0 if base is None else base) * self._weather.slowness(key.id, key.max_epochs)

    def cell(self, trial: str, epoch: int) -> Cell | None:
        if self._doom.get(trial) == epoch:
            return Failed("failed in the replay's weather")
        row = self._row.get(trial)
        if row is not None:
            assert self._table is not None
            if epoch <= len(self._curves[row]):
                over = epoch == len(self._curves[row]) and epoch < self._last and not self._table.failed[row]
                return Trained(self._curves[row][epoch - 1], ended=bool(over))
            if self._table.failed[row]:
                return Failed(f"failed at epoch {epoch} when it was recorded")
        else:
            own = self._own.cell(trial, epoch)
            if own is not None:
                return own
        curve = self._between[trial] if trial in self._between else self._go_beyond(trial, epoch)
        if epoch <= len(curve):
            return Trained(curve[epoch - 1])
        return Failed(f"failed at epoch {epoch} when it was recorded")

    def _go_beyond(self, trial: str, epoch: int) -> list[float]:
        """Returns the curve that answers from the epoch where the trial's own curve ended too early."""
        if self._table is None or trial not in self._met:
            raise self._unanswered(trial, epoch)
        config = self._met[trial].config
        self._between[trial] = curve = self._answer_between(config, self._nearest(config, epoch))
        self.answers.exact -= 1
        self.answers.continued += 1
        return curve

    def _unanswered(self, trial: str, epoch: int) -> CurvesError:
        known = self._own.known(trial)
        if known:
            return CurvesError(
                f"the recorded curve of trial {trial} must reach epoch {epoch}, but ends at {known}; "
                "replay at most the recorded budget"
            )
        return CurvesError(
            f"the curves must answer epoch {epoch} of trial {trial}, but it was not recorded and no recorded "
            "configuration was trained to the end; replay the study's own methods and budget, or record full curves"
        )


def _name(config: Config) -> str:
    return repr(sorted(config.items()))
