"""Checks that curves have no holes, that charges follow a run's clock and its epochs, and that its row adds them up. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hpo.store.checks.book import Account, Book, Real, Whole
from hpo.store.reader import StudyData
from hpo.study.amounts import COST, EPOCHS, Unit


def curves(book: Book, data: StudyData) -> Iterator[str]:
    """Checks that curves have no holes, that waste repeats trained epochs, and that failed trials trained no further."""
    trial, count = np.unique(book.cells // book.span, return_counts=True)
    last = np.zeros(len(book.trials), np.int64)
    np.maximum.at(last, book.cells // book.span, book.cells % book.span)
    names = list(book.trials)
    holes = [names[t] for t, n in zip(trial, count, strict=True) if n != last[t]]
    if holes:
        yield f"{len(holes)} trials have a hole in their curve, {holes[0]} among them"
    _, known = book.place(book.wasted)
    if not known.all():
        yield f"{book.named(int(book.wasted[~known][0]))} was trained again, but has no first training"
    for row in data.failures.to_pylist():
        trained = int(last[book.trials[row["trial"]]]) if row["trial"] in book.trials else 0
        if trained != row["epoch"]:
            yield f"trial {row['trial']} failed after {row['epoch']} epochs, but has {trained}"


def orders(account: Account) -> Iterator[str]:
    order = np.argsort(account.number, kind="stable")
    _, counts = np.unique(account.number, return_counts=True)
    expected = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    wrong = account.number[order][account.epoch[order] != expected]
    if len(wrong):
        yield f"its trial {wrong[0]} was not charged epoch by epoch"
    if (account.order < 0).any() or (np.diff(account.order) == 0).any():
        yield "two of its charges have one order"
    if (account.seen > account.order).any():  # false where it was not recorded
        yield "a segment was decided by events that came after it"
    if account.virtual and (np.diff(account.at) < 0).any():
        yield "its virtual clock runs backwards"


def charged(account: Account) -> Iterator[str]:
    at, known = account.book.place(account.cells)
    for cell in account.cells[~known][:3]:
        yield f"{account.book.named(int(cell))} was charged and never trained"
    if np.isnan(account.book.values).all():
        return  # the metric is not among the columns: nothing to compare with
    stored, charged = account.book.values[at[known]], account.value[known]
    differ = int((~((stored == charged) | (np.isnan(stored) & np.isnan(charged)))).sum())
    if differ:
        yield f"{differ} charges carry another value than their epoch"


def row_of_run(account: Account, row: dict[str, Any] | None, over: bool) -> Iterator[str]:
    """Checks a run's row against its charges. A run under way may have gone on since its row was written."""
    if row is None:
        yield "it has charges, but no row in the runs table"
        return
    final = row["status"] == "complete"
    charged = row["charged_epochs"]
    if account.total != charged if final else account.total < charged:
        yield f"{account.total} epochs were charged, but its row has {charged}"
    yield from _budget(account, row, final)
    yield from _cost(account, row, final)
    missing = int(account.order[-1]) + 1 - len(account.order) if len(account.order) else 0
    if final and missing > row["failed_trials"]:
        yield f"its orders have {missing} gaps, but {row['failed_trials']} of its trials failed"
    yield from _incumbent(account, row)
    if over:
        yield from _sums(account, row)


def _budget(account: Account, row: dict[str, Any], final: bool) -> Iterator[str]:
    """Checks that a run was charged no more than its budget, and says why where it was charged less."""
    unit, budget, told = budget_of(row)
    found = account.total if unit == EPOCHS else account.paid
    if found is None:
        yield "its budget is a cost, but a charge does not say what its epoch cost"
        return
    if found > budget:
        words = f"{found} epochs were" if unit == EPOCHS else f"{unit.words(found)} was"
        yield f"{words} charged, more than its budget of {unit.shown(budget)}"
    if final and told < budget and not row["reason"]:
        share = f"{unit.shown(told)} of {unit.shown(budget)}"
        words = f"{share} epochs" if unit == EPOCHS else f"a cost of {share}"
        yield f"it ended with {words} charged and gives no reason"


def _cost(account: Account, row: dict[str, Any], final: bool) -> Iterator[str]:
    """Checks what the epochs cost. The first charges of a run that an earlier version began do not say it."""
    known, told, paid = ~np.isnan(account.cost), row.get("charged_cost"), account.paid
    if known.any() and not known[known.argmax() :].all():
        yield "some of its charges say what their epochs cost, and later ones do not"
    cheap, dear = _per_trial(account.number[known], account.cost[known])
    if (cheap != dear).any():
        yield f"epochs of its trial {int(np.flatnonzero(cheap != dear)[0])} cost differently"
    if row.get("budget_cost") is None:
        if told is not None:
            yield "its budget is in epochs, but its row says what they cost"
        return
    sure = round((told or 0) * COST.scale)
    if paid is not None and (paid != sure if final else paid < sure):
        yield f"its epochs cost {COST.shown(paid)}, but its row has {COST.shown(sure)}"


def _per_trial(number: Whole, cost: Real) -> tuple[Real, Real]:
    """Returns the least and the greatest cost of an epoch by trial [trials]."""
    size = int(number.max(initial=-1)) + 1
    least, greatest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(least, number, cost)
    np.maximum.at(greatest, number, cost)
    seen = np.isfinite(least)
    return np.where(seen, least, 0.0), np.where(seen, greatest, 0.0)


def budget_of(row: Mapping[str, Any]) -> tuple[Unit, int, int]:
    """Returns what a run's budget counts, the budget, and what its row says was charged, in the unit's amounts."""
    if row.get("budget_cost") is None:
        return EPOCHS, int(row["budget_epochs"] or 0), int(row["charged_epochs"] or 0)
    return COST, COST.amount(row["budget_cost"]), round((row["charged_cost"] or 0) * COST.scale)


def _incumbent(account: Account, row: dict[str, Any]) -> Iterator[str]:
    best = account.best(row["charged_epochs"] // account.each)
    told = (row["incumbent_trial"], row["incumbent_epoch"], row["incumbent_value"])
    if best is None:
        right: tuple[Any, ...] = (None, None, None)
    else:
        cell = int(account.cells[best])
        names = list(account.book.trials)
        right = (names[cell // account.book.span], cell % account.book.span, float(account.value[best]))
    if told != right:
        yield "its incumbent is {} at epoch {} with {}, but its row has {} at epoch {} with {}".format(*right, *told)


def _sums(account: Account, row: dict[str, Any]) -> Iterator[str]:
    book = account.book
    shared = int((account.users > 1).sum()) * account.each
    wasted = int(np.isin(book.wasted // book.span, account.cells // book.span).sum()) * account.each
    at, known = book.place(account.cells)
    seconds = float(book.seconds[at[known]].sum())
    if shared != row["shared_epochs"]:
        yield f"{shared} of its epochs are shared, but its row has {row['shared_epochs']}"
    if wasted != row["wasted_epochs"]:
        yield f"{wasted} epochs of its trials were trained again, but its row has {row['wasted_epochs']}"
    if abs(seconds - row["train_seconds"]) > 1e-6 * max(1.0, seconds):
        yield f"its epochs took {seconds:.6g} s, but its row has {row['train_seconds']:.6g} s"
