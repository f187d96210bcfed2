"""What mattered, as tables and in a sentence. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hpo.report.tables import Cell, Column, Table, render_tables
from hpo.results.association import Association
from hpo.results.fanova import PairShare, Share
from hpo.results.importance import POOR_FIT, Importance, over_tasks


def render_importance(found: Importance, format: str, *, width: int | None = None) -> str:
    """The importance in one of FORMATS. `width`: the terminal's columns, asked from it where None."""
    if format == "json":
        return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    tables = [shares_table(found)] if format == "csv" else importance_tables(found)
    return render_tables(tables, format, lead=summary(found), width=width)


def importance_tables(importance: Importance) -> list[Table]:
    """Single shares, pairs, sensitivity about the incumbent, and batch size with learning rate where both vary."""
    tables = [shares_table(importance)]
    if importance.pairs:
        tables.append(pairs_table(importance))
    if importance.sensitivity:
        tables.append(sensitivity_table(importance))
    if importance.association is not None:
        tables.append(association_table(importance.association, importance.metric))
    return tables


def summary(importance: Importance) -> str:
    """What mattered most and how far that can be trusted, in a sentence or two."""
    first = importance.shares[0]
    explained = f"{100 * max(0.0, importance.fit):.0f} % of the variance"
    learned = f"Learned from {importance.trials} trials {importance.epochs}; of unseen ones the surrogate explains"
    if not importance.decided:
        return (
            f"Undecided: the trials do not tell what mattered; the surrogate's guess would be {first.name}. {learned} only "
            f"{explained}, and below {100 * POOR_FIT:.0f} % its shares and their intervals are guesses."
        )
    return f"{_most(importance)}. {learned} {explained}; the rest is noise, or what more trials would show."


def _most(importance: Importance) -> str:
    """The hyperparameter that mattered most, or the pair where no single one explains as much."""
    first = importance.shares[0]
    pair = importance.pairs[0] if importance.pairs else None
    if pair is not None and pair.share > first.share:
        return (
            f"{pair.a} and {pair.b} mattered most, together: beyond what each explains alone they explain "
            f"{_percent(pair)} of the variance of {importance.metric}"
        )
    text = f"{first.name} mattered most: alone it explains {_percent(first)} of the variance of {importance.metric}"
    if len(importance.shares) > 1 and first.low <= importance.shares[1].high:
        text += f", though the interval of {importance.shares[1].name} overlaps it"
    if pair is None and importance.unexplained > first.share:
        text += f"; interactions explain more, {100 * importance.unexplained:.0f} %, and `--pairs` shows them"
    return text


def _percent(share: Share | PairShare) -> str:
    return f"{100 * share.share:.0f} % (95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %)"


def tasks_table(found: Mapping[str, Importance]) -> Table:
    """One row a hyperparameter: its mean share over the tasks that all search it, and its share in each task."""
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
    note = f"fANOVA: what each explains alone. R squared of the surrogates on trials that they had not seen: {fits}."
    if guesses := [task for task, one in found.items() if not one.decided]:
        note += f" Below {POOR_FIT:g} the shares are guesses: {', '.join(guesses)}."
    return Table(f"Importance over {len(found)} tasks", columns, rows, note)


def _task_row(name: str, mean: Share | None, shares: Sequence[float | None]) -> tuple[Cell, ...]:
    across: tuple[Cell, ...] = (None, None, None) if mean is None else (mean.share, mean.low, mean.high)
    return (name, *across, *shares)


def shares_table(importance: Importance) -> Table:
    columns = (
        Column("hyperparameter", "name", "text"), Column("share", "share", "percent"),
        Column("from", "low", "percent"), Column("to", "high", "percent"),
    )  # fmt: skip
    rows = tuple((s.name, s.share, s.low, s.high) for s in importance.shares)
    note = (
        "fANOVA over the whole space: the share of the surrogate's variance that each explains alone, with a 95 % "
        f"interval; {100 * importance.unexplained:.0f} % lie in interactions beyond those shown."
    )
    if importance.notes:
        note += " " + " ".join(importance.notes)
    return Table(f"{importance.study}: importance for {importance.metric}", columns, rows, note)


def pairs_table(importance: Importance, most: int = 10) -> Table:
    columns = (
        Column("pair", "pair", "text"), Column("share", "share", "percent"),
        Column("from", "low", "percent"), Column("to", "high", "percent"),
    )  # fmt: skip
    rows = tuple((f"{p.a} × {p.b}", p.share, p.low, p.high) for p in importance.pairs[:most])
    return Table("Pairs", columns, rows, "What a pair explains beyond its two hyperparameters alone.")


def sensitivity_table(importance: Importance) -> Table:
    columns = (
        Column("hyperparameter", "name", "text"), Column("incumbent", "value", "text"),
        Column(f"best {importance.metric}", "best"), Column("worst", "worst"), Column("spread", "spread"),
    )  # fmt: skip
    better, worse = (max, min) if importance.mode == "max" else (min, max)
    rows = tuple(
        (m.name, _plain(importance.incumbent[m.name]), better(m.mean), worse(m.mean), m.spread)
        for m in importance.sensitivity
    )
    note = (
        "Predicted, as one hyperparameter at a time runs over its range and the others stay at the incumbent's values."
    )
    return Table("Sensitivity about the incumbent", columns, rows, note)


def association_table(found: Association, metric: str) -> Table:
    columns = (
        Column(found.a, "a", "text"), Column(f"best {found.b}", "b", "text"), Column(f"best {metric}", "best"),
    )  # fmt: skip
    rows = tuple((_plain(a), _plain(b), value) for a, b, value in found.best)
    note = f"The best trial of each {found.a}."
    if found.rho is not None and found.p is not None:
        note += f" Spearman's rank correlation over the best {found.good} of {found.trials} trials: "
        note += f"{found.rho:.2f} (p {found.p:.2g})."
    return Table(f"{found.a} with {found.b}", columns, rows, note)


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
