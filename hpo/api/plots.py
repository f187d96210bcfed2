"""A study's pictures as matplotlib figures, the same as the report's. Uses no pyplot; a caller shows or saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.report import plots, series, trial_plots
from hpo.report.comparison_section import budget_figure
from hpo.report.looks import method_looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpo.api.results import Results


class NothingToDraw(HpoError):
    """A picture of what a study does not have yet."""


class Plots:
    """The figures of a study's results. A notebook shows a figure that a cell returns; `figure.savefig` writes it."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def anytime(self) -> Figure:
        """Draws each method's best value so far over what its runs were charged: their mean with its 95 % interval."""
        comparison = self._results.compare()
        found = budget_figure(comparison, comparison.tasks[0])
        if found is None:
            raise self._nothing("charged epoch")
        return found[0]

    def parallel(self) -> Figure:
        """Draws parallel coordinates: each line is a trial, from its hyperparameters to its best value on the right."""
        axes, lines = series.coordinates(self._results.data)
        if not lines:
            raise self._nothing("trial with a value")
        return trial_plots.parallel(axes, lines, method_looks(self._results.compare()))

    def importance(self) -> Figure:
        """Draws the share of the variance that each hyperparameter explains alone, with 95 % intervals."""
        found = self._results.importance()
        return plots.importance({share.name: (share.share, share.low, share.high) for share in found.shares})

    def curves(self, method: str | None = None) -> Figure:
        """Draws the learning curve of every trial of a method (default: the first), winners strong, rungs dotted."""
        data, looks = self._results.data, method_looks(self._results.compare())
        name = method or next(iter(looks), "")
        if name not in looks:
            raise NothingToDraw(f"method must be one of {', '.join(looks)}, but got {name!r}")
        rows, values = series.trials(data), series.curves(data)
        lines = series.learning(data, name, rows, values)
        if not lines:
            raise self._nothing(f"trained epoch of {name}")
        metric, around = (
            data.definition["metric"],
            series.value_range((v for c in values.values() for v in c), room=0.04),
        )
        return trial_plots.learning_curves(
            lines, series.rungs(rows, name), looks[name], metric=metric, title=name, y_range=around
        )

    def _nothing(self, what: str) -> NothingToDraw:
        return NothingToDraw(f"{self._results.name} has no {what} to draw yet; run it, or go on with it")
