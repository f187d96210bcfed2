"""The report's section on importance: which hyperparameters mattered, how, and which interact. Pure."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from hpo.report import plots, series, trial_plots
from hpo.report.canvas import Looks
from hpo.report.importance_tables import importance_tables, summary
from hpo.report.parts import Figures, Folded, Part, Picture, Section, Text, picture, table
from hpo.report.trial_plots import Curve
from hpo.report.trials_section import marginals
from hpo.results.fanova import PairShare
from hpo.results.importance import Importance
from hpo.store import StudyData

PAIRS = 3  # most heat maps: those of the most important pairs
LEAST = 0.01  # share up to which a pair gets no heat map


def importance_section(data: StudyData, importance: Importance | None, looks: Looks) -> Section:
    """Returns shares with intervals, marginals with the trials, heat maps of the strongest pairs, and folded tables."""
    title = "Importance"
    if importance is None:
        text = "There are too few trials, or they are too much alike, to show which hyperparameters mattered."
        return Section("importance", title, [Text(text), *marginals(data, looks, {})])
    parts: list[Part] = [Text(summary(importance)), *(Text(note) for note in importance.notes)]
    shares = {s.name: (s.share, s.low, s.high) for s in importance.shares}
    caption = "Share of the variance that each hyperparameter explains alone (fANOVA), with 95 % intervals."
    bars = picture(plots.importance(shares), "importance-shares", "Importance of every hyperparameter", caption)
    parts.append(Figures([bars]))
    parts.append(
        Text(
            "The panels below show each trial's best value against one hyperparameter. Colours and marks stand for "
            "methods; pale trials were stopped early; of very many trials an even selection is drawn. The line is the "
            "surrogate's marginal, averaged over all other hyperparameters, with its standard deviation."
        )
    )
    ways = series.axes(data)
    modelled: dict[str, Curve] = {
        m.name: ([series.place(ways[m.name], value) for value in m.values], m.mean, m.std)
        for m in importance.marginals if m.name in ways
    }  # fmt: skip
    parts += marginals(data, looks, modelled)
    heats = [
        _heat(data, pair, i, importance.metric) for i, pair in enumerate(importance.pairs[:PAIRS]) if pair.share > LEAST
    ]
    if heats:
        parts.append(Figures(heats, "small"))
    tables = Markup("").join(table(content).html for content in importance_tables(importance))
    parts.append(Folded("Shares, pairs and sensitivity in figures", tables))
    return Section("importance", title, parts)


def _heat(data: StudyData, pair: PairShare, number: int, metric: str) -> Picture:
    figure = trial_plots.heat(pair.a, pair.values_a, pair.b, pair.values_b, np.array(pair.mean), metric=metric)
    caption = f"{pair.a} × {pair.b}: together they explain {100 * pair.share:.1f} % beyond their single shares."
    return picture(figure, f"pair-{number}", f"Predicted {metric} over {pair.a} and {pair.b}", caption)
