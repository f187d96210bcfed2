"""Importance as tables, as a sentence, and rendered in every format. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hpo.report.tables import Cell, Column, Table, render_tables, short
from hpo.results.association import Association
from hpo.results.fanova import PairShare, Share
from hpo.results.importance import POOR_FIT, Disagreement, Importance, over_tasks


def render_importance(found: Importance, format: str, *, width: int | None = None) -> str:
    """Renders the importance in one of FORMATS. `width`: the terminal's columns (default: ask the terminal)."""
    if format == "json":
        return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    tables = [shares_table(found)] if format == "csv" else importance_tables(found)
    return render_tables(tables, format, lead=summary(found), width=width)


def importance_tables(importance: Importance) -> list[Table]:
    """Returns the tables of shares, pairs, sensitivity around the incumbent, and batch size with learning rate."""
    tables = [shares_table(importance)]
    if importance.pairs:
        tables.append(pairs_table(importance))
    if importance.sensitivity:
        tables.append(sensitivity_table(importance))
    if importance.association is not None:
        tables.append(association_table(importance.association, importance.metric))
    return tables


def summary(importance: Importance) -> str:
    """Says what mattered most and how far that can be trusted, and whether the best trials tell another story."""
    first = importance.shares[0]
    explained = f"{100 * max(0.0, importance.fit):.0f} % of the variance"
    fitted = f"The surrogate was fitted to {importance.trials:,} trials {importance.epochs}"
    if not importance.decided:
        return (
            f"Undecided: the trials do not show what mattered; the best guess is {first.name}. {fitted} and explains only "
            f"{explained} of unseen trials; below {100 * POOR_FIT:.0f} % its shares and their intervals are guesses."
        )
    text = f"{_most(importance)}. {fitted} and explains {explained} of unseen trials; the rest is noise or needs more trials."
    return text if importance.disagreement is None else f"{text} {disagreement(importance.disagreement, importance)}"


def disagreement(found: Disagreement, importance: Importance) -> str:
    """Says where PED-ANOVA ranks another hyperparameter than functional ANOVA does, and how firmly."""
    best = importance.ped_anova
    rank = "most" if found.place == 1 else "second most"
    lead = "The two methods disagree" if found.firm else "The two methods rank differently, though not firmly"
    return (
        f"{lead}: over the whole space {found.fanova} matters {rank} (functional ANOVA), but {found.ped_anova} does more to "
        f"set the best {100 * best.fraction:.0f} % of the trials apart (PED-ANOVA; so in {100 * found.support:.0f} % of "
        f"resamples of the trials)."
    )


def _most(importance: Importance) -> str:
    """Names the hyperparameter that mattered most, or a pair if no single one explains as much."""
    first = importance.shares[0]
    pair = importance.pairs[0] if importance.pairs else None
    if pair is not None and pair.share > first.share:
        return (
            f"{pair.a} and {pair.b} mattered most, together: beyond their single shares they explain {_percent(pair)} "
            f"of the variance of {importance.metric}"
        )
    text = f"{first.name} mattered most: alone it explains {_percent(first)} of the variance of {importance.metric}"
    if len(importance.shares) > 1 and first.low <= importance.shares[1].high:
        text += f", but its interval overlaps that of {importance.shares[1].name}"
    if pair is None and importance.unexplained > first.share:
        text += f"; interactions explain more, {100 * importance.unexplained:.0f} % (`--pairs` shows them)"
    return text


def _percent(share: Share | PairShare) -> str:
    return f"{100 * share.share:.0f} % (95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %)"


def tasks_table(found: Mapping[str, Importance]) -> Table:
    """Returns one row a hyperparameter: its share in each task, and the mean share if every task searches it."""
    mean = {share.name: share for share in over_tasks(list(found.values()))}
    names = list(mean) + [s.name for one in found.values() for s in one.shares if s.name not in mean]
    own = {task: {share.name: share.share for share in one.shares} for task, one in found.items()}
    columns = (
        Column("hyperparameter", "name", "text"), Column("mean", "mean", "percent"), Column("from", "low", "percent"),
        Column("to", "high", "percent"), *(Column(task, f"share_{task}", "percent") for task in found),
    )  # fmt: skip
    rows = tuple(
        _task_row(name, mean.get(name), [shares.get(name) for shares in own.values()]) for name in dict.fromkeys(names)
    )
    fits = ", ".join(f"{task} {one.fit:.2f}" for task, one in found.items())
    note = f"fANOVA: the share that each hyperparameter explains alone. R squared of the surrogates on unseen trials: {fits}."
    if guesses := [task for task, one in found.items() if not one.decided]:
        note += f" Below {POOR_FIT:g} the shares are guesses: {', '.join(guesses)}."
    return Table(f"Importance over {len(found)} tasks", columns, rows, note)


def _task_row(name: str, mean: Share | None, shares: Sequence[float | None]) -> tuple[Cell, ...]:
    across: tuple[Cell, ...] = (None, None, None) if mean is None else (mean.share, mean.low, mean.high)
    return (name, *across, *shares)


def shares_table(importance: Importance) -> Table:
    """Returns one row a hyperparameter: its share with its interval, and its part in setting the best trials apart."""
    best = importance.ped_anova
    apart = {top.name: top.share for top in best.shares}
    columns = (
        Column("hyperparameter", "name", "text"), Column("share", "share", "percent"),
        Column("from", "low", "percent"), Column("to", "high", "percent"),
        Column(f"best {100 * best.fraction:.0f} %", "top_share", "percent"),
    )  # fmt: skip
    rows = tuple((s.name, s.share, s.low, s.high, apart[s.name]) for s in importance.shares)
    note = (
        "fANOVA over the whole space: the share of the variance that each hyperparameter explains alone, with its 95 % "
        f"interval. Interactions not shown here explain {100 * importance.unexplained:.0f} %. PED-ANOVA: how far each sets "
        f"the best {best.trials:,} trials apart from all, as a part of what all do."
    )
    if importance.notes:
        note += " " + " ".join(importance.notes)
    return Table(f"{importance.study}: importance for {importance.metric}", columns, rows, note)


def pairs_table(importance: Importance, most: int = 10) -> Table:
    """Returns one row a pair, at most `most`: its share with its interval."""
    columns = (
        Column("pair", "pair", "text"), Column("share", "share", "percent"),
        Column("from", "low", "percent"), Column("to", "high", "percent"),
    )  # fmt: skip
    rows = tuple((f"{p.a} × {p.b}", p.share, p.low, p.high) for p in importance.pairs[:most])
    return Table(
        "Pairs", columns, rows, "The share that a pair explains beyond the single shares of its hyperparameters."
    )


def sensitivity_table(importance: Importance) -> Table:
    """Returns one row a hyperparameter: the best and the worst metric predicted around the incumbent."""
    columns = (
        Column("hyperparameter", "name", "text"), Column("incumbent", "value", "text"),
        Column(f"best {importance.metric}", "best"), Column("worst", "worst"), Column("spread", "spread"),
    )  # fmt: skip
    better, worse = (max, min) if importance.mode == "max" else (min, max)
    rows = tuple(
        (m.name, short(importance.incumbent[m.name]), better(m.mean), worse(m.mean), m.spread)
        for m in importance.sensitivity
    )
    note = "Predicted: one hyperparameter at a time takes all its values, the others keep the incumbent's."
    return Table("Sensitivity around the incumbent", columns, rows, note)


def association_table(found: Association, metric: str) -> Table:
    """Returns one row for each value of a: the best trial's b and its metric."""
    columns = (
        Column(found.a, "a", "text"), Column(f"best {found.b}", "b", "text"), Column(f"best {metric}", "best"),
    )  # fmt: skip
    rows = tuple((short(a), short(b), value) for a, b, value in found.best)
    note = f"The best trial for each {found.a}."
    if found.rho is not None and found.p is not None:
        note += f" Spearman's rank correlation over the best {found.good} of {found.trials} trials: "
        note += f"{found.rho:.2f} (p {found.p:.2g})."
    return Table(f"{found.a} with {found.b}", columns, rows, note)
