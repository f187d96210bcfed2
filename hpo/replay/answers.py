"""The table of curves, answered by a recorded one: which curve answers for which trial, and how often it was which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.game.curves import Cell, Curves, Failed, Trained
from hpo.replay.sources import CurvesError, RecordedTable
from hpo.replay.weather import Weather
from hpo.study.space import Config, SearchSpace
from hpo.study.values import TrialKey

Between = Literal["nearest", "surrogate"]
FEWEST = 8  # curves that a surrogate is fitted to


@dataclass
class Answers:
    """Where the replay's cells came from: the trial's own curve, another answer between the recorded ones, or first
    one, then the other, where the trial's own curve ended too early. `correlation`: of the surrogate, see its file."""

    between: Between = "nearest"
    exact: int = 0
    others: int = 0
    continued: int = 0
    correlation: float = float("nan")

    def __add__(self, other: Answers) -> Answers:
        counts = (self.exact + other.exact, self.others + other.others, self.continued + other.continued)
        return Answers(self.between, *counts, self.correlation)

    def sentence(self) -> str:
        source = "the nearest recorded configuration"
        if self.between == "surrogate":
            source = f"a surrogate (rank correlation with curves that it has not seen: {self.correlation:.2f})"
        told = f"{self.exact} trials answered by their own curve, {self.others} by {source}"
        both = f", {self.continued} by their own curve as far as it goes and by {source.split(' (')[0]} from there"
        return told + (both if self.continued else "")


class RecordedCurves(Curves):
    """The table of curves, answered by a recorded one: a trial's own curve where there is one, else what lies between.

    `own` holds curves by trial id (a store of this study), `own_seconds` their epochs' times; they answer exactly, as
    far as they go. Between recorded configurations answers the nearest one that was trained to the study's `max_epochs`
    or failed, or a surrogate fitted to those that were trained that far; where the nearest one failed without a single
    epoch, so does the trial, whatever a surrogate thinks.
    """

    def __init__(
        self,
        table: RecordedTable | None,
        space: SearchSpace,
        weather: Weather,
        *,
        max_epochs: int,
        own: Curves | None = None,
        own_seconds: Mapping[str, float] | None = None,
        between: Between = "nearest",
    ) -> None:
        super().__init__()
        self.answers = Answers(between)
        self._own, self._table, self._space, self._weather = own or Curves(), table, space, weather
        self._own_seconds = own_seconds or {}
        self.failures = self._own.failures
        self._row: dict[str, int] = {}  # the trial's own row of the table
        self._timed: dict[str, int] = {}  # the row whose times it takes
        self._between: dict[str, list[float]] = {}  # what answers where its own curve does not; failed where it ends
        self._met: dict[str, TrialKey] = {}
        self._seconds: dict[int, tuple[Config, float]] = {}  # by identity: the configuration is kept, so it holds
        self._doom: dict[str, int | None] = {}
        if table is not None:
            self._learn(table, max_epochs)

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
                f"{table.source} has {len(rows)}; take the nearest ones"
            )
        features = np.array([self._space.features(table.configs[i]) for i in rows])
        self._forest = CurveForest(features, table.values[rows, :max_epochs])
        self.answers.correlation = self._forest.correlation

    def meet(self, key: TrialKey) -> TrialKey:
        """A run has named a trial: what answers for it is looked up once."""
        if key.id not in self._met:
            self._met[key.id] = key
            self._doom[key.id] = self._weather.fails_at(key.id, key.max_epochs)
            self._find(key)
        self._seconds[id(key.config)] = (key.config, self._epoch_seconds(key))
        return key

    def _find(self, key: TrialKey) -> None:
        if self._own.known(key.id) > 0 or self._own.closed(key.id):
            self.answers.exact += 1
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
        """The curve that answers for a configuration whose nearest row is `row`."""
        if self.answers.between == "surrogate" and self._curves[row]:
            found: list[float] = self._forest.curves(self._space.features(config)[None])[0].tolist()
            return found
        return self._curves[row]

    def _nearest(self, config: Config, epoch: int) -> int:
        """The nearest row that was trained to the end, or failed at `epoch` or later."""
        distances = self._norms - 2 * (self._features @ self._space.features(config))  # but for the same summand
        if epoch > 1:
            distances = np.where(self._reach >= epoch - 1, distances, np.inf)
        return int(self._full[int(distances.argmin())])

    def seconds(self, config: Config) -> float | None:
        """The time of an epoch, in seconds, with the weather's factor; None for a configuration that was not met."""
        found = self._seconds.get(id(config))
        return None if found is None else found[1]

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
                return Trained(self._curves[row][epoch - 1])
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
        """A trial's own curve ends too early: from there on what lies between answers."""
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
                "ask for at most the budget that was recorded"
            )
        return CurvesError(
            f"the curves must answer epoch {epoch} of trial {trial}, but it was not recorded and no configuration "
            "was trained to the end; replay the study's own methods and budget, or record full curves"
        )


def _name(config: Config) -> str:
    return repr(sorted(config.items()))
