"""What mattered, as tables and in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.association import Association
from hpo.importance import Importance, Share, over_tasks
from hpo.report.tables import Cell, Column, Table

POOR_FIT = 0.3  # R squared below which the surrogate explains too little for its shares to be taken at their word


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
    text = (
        f"{first.name} mattered most: alone it explains {100 * first.share:.0f} % of the variance of {importance.metric} "
        f"(95 % interval {100 * first.low:.0f} to {100 * first.high:.0f} %)"
    )
    if len(importance.shares) > 1 and first.low <= importance.shares[1].high:
        text += f", though the interval of {importance.shares[1].name} overlaps it"
    if importance.fit < POOR_FIT:
        text = f"Undecided: the trials do not tell what mattered. The surrogate's guess would be {first.name}"
    text += (
        f". Learned from {importance.trials} trials {importance.epochs}; on trials that it had not seen the surrogate "
        f"explains {100 * max(0.0, importance.fit):.0f} % of the variance."
    )
    return text


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
