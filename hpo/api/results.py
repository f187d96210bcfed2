"""The results of a study: its tables, its comparison, importance, best trial and pictures. Writes only a report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from hpo.api.best import Best, best_of
from hpo.api.plots import Plots
from hpo.api.summaries import Comparison, Importance
from hpo.api.tables import Table
from hpo.results.compare import compare
from hpo.results.importance import importance, importance_or_none
from hpo.results.standing import current
from hpo.results.view import PLAIN, View
from hpo.store import StudyData


class Results:
    """What a study has given so far, as its store held it when it was opened; `hpo.open` reads it anew.

    `data`: the tables and the definition behind it. `store`: its address, None for a replay.
    """

    def __init__(self, data: StudyData, store: str | None = None) -> None:
        self.data, self.store = current(data), store

    @property
    def name(self) -> str:
        """The study's name."""
        return self.data.name

    @property
    def definition(self) -> dict[str, Any]:
        """The study with all defaults filled in, as plain values."""
        return self.data.definition

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each file that could not be read."""
        return self.data.warnings

    @property
    def epochs(self) -> Table:
        """One row a trained epoch: trial, configuration, metrics, seconds."""
        return Table(self.data.epochs, "epochs")

    @property
    def trials(self) -> Table:
        """One row a trial of a run: configuration, epochs, best value, status."""
        return Table(self.data.trials, "trials")

    @property
    def runs(self) -> Table:
        """One row a run, which is a method with a seed: status, epochs, incumbent."""
        return Table(self.data.runs, "runs")

    @property
    def charges(self) -> Table:
        """One row an epoch that a run was charged for, in the order of the run's events."""
        return Table(self.data.charges, "charges")

    def compare(
        self, *, target: float | None = None, workers: int | None = None, difference: float | str | None = None,
        objectives: str | Sequence[str] | None = None, reference: Sequence[float] | None = None,
        constraints: str | Sequence[str] = (),
    ) -> Comparison:  # fmt: skip
        """Compares the methods, as `hpo compare` does.

        `target`: count the epochs until the metric reaches it. `workers`: estimate the time of each method alone on so many.
        `difference`: the smallest that matters, 0.005 or "1 %" (default: the study's). `objectives`: two stored metrics whose
        Pareto fronts to find, ["val_accuracy", "train_seconds"], each as NAME:min or NAME:max where its name does not tell
        which is better; `reference`: the reference point of their hypervolumes (default: beyond all fronts). `constraints`:
        count only configurations within these bounds, ["val_latency <= 20"]. Raises HpoError for what the store lacks.
        """
        view = View.read(objectives, reference, constraints)
        if view == PLAIN and (target, workers, difference) == (None, None, None):
            return self._comparison
        return Comparison.of(view.compared([self.data], target=target, workers=workers, difference=difference)[0])

    @cached_property
    def _comparison(self) -> Comparison:
        return Comparison.of(compare(self.data))

    def importance(self, *, pairs: bool = True, seed: int = 0) -> Importance:
        """Tells which hyperparameters mattered, as `hpo importance` does. Raises HpoError for too few trials."""
        return self._importance if pairs and not seed else Importance.of(importance(self.data, pairs=pairs, seed=seed))

    @cached_property
    def _importance(self) -> Importance:
        return Importance.of(importance(self.data))

    def best(self, method: str | None = None) -> Best:
        """Returns the best trial of all runs, or of one method's. Raises HpoError where none has a value."""
        return best_of(self.data, self.compare().runs, method, self.store)

    @property
    def plot(self) -> Plots:
        """The pictures: `plot.anytime()`, `plot.parallel()`, `plot.importance()`, `plot.curves()`."""
        return Plots(self)

    def report(self, path: str | Path) -> Path:
        """Writes the HTML report, one file that needs no network, and returns its path."""
        from hpo.report import write_html

        source = self.store or "recorded curves"
        command = str(self.data.environment.get("command") or f"hpo.open({source!r})[{self.name!r}]")
        return write_html(self.data, self.compare(), importance_or_none(self.data), path, command=command)

    def __repr__(self) -> str:
        where = f" in {self.store}" if self.store else ""
        return f"<Results of {self.name}{where}: {len(self.runs)} runs, {len(self.charges):,} epochs charged>"

    def _repr_html_(self) -> str:
        from hpo.api.html import box, definitions, said, shown
        from hpo.report.comparison_tables import method_tables
        from hpo.report.html import facts

        found = self.compare()
        return box(said(found.verdict), definitions(facts(self.data)), shown(method_tables(found)), title=self.name)
