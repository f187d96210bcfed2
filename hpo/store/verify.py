"""Checks that a study adds up: derives ledgers, orders, incumbents and waste again from epochs and charges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpo.store.columns import codes, numbers, whole
from hpo.store.reader import StudyData, read, studies

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


def verify(uri: str, study: str | None = None) -> list[str]:
    """Returns a sentence for each problem of a study, or of all studies of a store; unreadable files come first."""
    names = [study] if study is not None else studies(uri)
    if not names:
        read(uri)  # raises the sentence for an empty store
    return [f"{name}: {problem}" for name in names for problem in check(read(uri, name))]


def check(data: StudyData) -> list[str]:
    """Returns a sentence for each problem of one study."""
    book = Book.of(data)
    rows = {row["run"]: row for row in data.runs.to_pylist()}
    over = bool(rows) and all(row["status"] == "complete" for row in rows.values())
    problems = [*data.warnings, *_curves(book, data)]
    for run in sorted(book.places.keys() | rows.keys()):
        account = Account(book, book.places.get(run, np.array([], np.int64)), data.definition)
        found = [*_orders(account), *_charged(account), *_row(account, rows.get(run), over)]
        if run in rows and rows[run]["status"] == "complete":
            found += _trials(account, data, run)
        problems += [f"run {run}: {text}" for text in found]
    return [*problems, *(_exams(data) if over else ())]


@dataclass(frozen=True)
class Book:
    """Epochs and charges as arrays. A cell is a trial and an epoch as one whole number.

    `cells` are the trained ones that count, sorted, with their values of the metric and their seconds.
    """

    trials: dict[str, int]
    span: int
    cells: Whole  # [trained]
    values: Real  # [trained]
    seconds: Real  # [trained]
    wasted: Whole  # [trained again]
    charges: dict[str, Any]  # column -> array [charges]
    charged: Whole  # [charges], cells
    users: Whole  # [charges], the number of charges of the same cell
    places: dict[str, Whole]  # run -> places of its charges, in its order

    @classmethod
    def of(cls, data: StudyData) -> Book:
        names = pa.chunked_array([*data.epochs["trial"].chunks, *data.charges["trial"].chunks], pa.string())
        trials = {name: i for i, name in enumerate(pc.unique(names).to_pylist())}
        span = 1 + max(_top(data.epochs), _top(data.charges))
        cells, charged = _cells(data.epochs, trials, span), _cells(data.charges, trials, span)
        counts = whole(data.epochs, "attempt") == 0
        order = np.argsort(cells[counts], kind="stable")
        metric = data.definition.get("metric", "")
        values = numbers(data.epochs, metric)[counts][order]
        _, inverse, number = np.unique(charged, return_inverse=True, return_counts=True)
        columns = {name: data.charges[name].to_numpy() for name in ("order", "number", "epoch", "at", "value")}
        seconds = np.nan_to_num(numbers(data.epochs, "seconds"))[counts][order]
        return cls(
            trials, span, cells[counts][order], values, seconds, cells[~counts], columns, charged, number[inverse],
            _places(data.charges),
        )  # fmt: skip

    def place(self, cells: Whole) -> tuple[Whole, NDArray[np.bool_]]:
        """Returns the cells' places among the trained ones, and whether they are among them."""
        if not len(self.cells):
            return np.zeros(len(cells), np.int64), np.zeros(len(cells), bool)
        at = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        return at, self.cells[at] == cells

    def named(self, cell: int) -> str:
        return f"epoch {cell % self.span} of trial {list(self.trials)[cell // self.span]}"


class Account:
    """The charges of one run."""

    def __init__(self, book: Book, mine: Whole, definition: dict[str, Any]) -> None:
        self.book = book
        self.each = int((definition.get("data") or {}).get("folds") or 1)  # k folds are charged k
        self.sign = 1.0 if definition.get("mode", "max") == "max" else -1.0
        self.virtual = definition.get("clock", "virtual") == "virtual"
        self.cells = book.charged[mine]
        self.users = book.users[mine]
        self.order, self.number, self.epoch, self.at, self.value = (
            book.charges[name][mine] for name in ("order", "number", "epoch", "at", "value")
        )

    @property
    def total(self) -> int:
        return len(self.cells) * self.each

    def best(self, charges: int) -> int | None:
        """Returns the place of the incumbent after so many charges: the first of the best values."""
        values = self.sign * self.value[:charges]
        finite = np.flatnonzero(np.isfinite(values))
        return int(finite[np.argmax(values[finite])]) if len(finite) else None


def _top(table: pa.Table) -> int:
    return int(pc.max(table["epoch"]).as_py() or 0)


def _cells(table: pa.Table, trials: dict[str, int], span: int) -> Whole:
    return codes(table["trial"], list(trials)) * span + whole(table, "epoch")


def _places(charges: pa.Table) -> dict[str, Whole]:
    names = pc.unique(charges["run"]).to_pylist()
    runs = codes(charges["run"], names)
    order = np.lexsort((whole(charges, "order"), runs))
    bounds = np.searchsorted(runs[order], np.arange(len(names) + 1))
    return {name: order[bounds[i] : bounds[i + 1]] for i, name in enumerate(names)}


def _curves(book: Book, data: StudyData) -> Iterator[str]:
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


def _orders(account: Account) -> Iterator[str]:
    order = np.argsort(account.number, kind="stable")
    _, counts = np.unique(account.number, return_counts=True)
    expected = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    wrong = account.number[order][account.epoch[order] != expected]
    if len(wrong):
        yield f"its trial {wrong[0]} was not charged epoch by epoch"
    if account.virtual and (np.diff(account.at) < 0).any():
        yield "its virtual clock runs backwards"


def _charged(account: Account) -> Iterator[str]:
    at, known = account.book.place(account.cells)
    for cell in account.cells[~known][:3]:
        yield f"{account.book.named(int(cell))} was charged and never trained"
    if np.isnan(account.book.values).all():
        return  # the metric is not among the columns: nothing to compare with
    stored, charged = account.book.values[at[known]], account.value[known]
    differ = int((~((stored == charged) | (np.isnan(stored) & np.isnan(charged)))).sum())
    if differ:
        yield f"{differ} charges carry another value than their epoch"


def _row(account: Account, row: dict[str, Any] | None, over: bool) -> Iterator[str]:
    """Checks a run's row against its charges. A run under way may have gone on since its row was written."""
    if row is None:
        yield "it has charges, but no row in the runs table"
        return
    final = row["status"] == "complete"
    charged, budget = row["charged_epochs"], row["budget_epochs"]
    if account.total != charged if final else account.total < charged:
        yield f"{account.total} epochs were charged, but its row has {charged}"
    if account.total > budget:
        yield f"{account.total} epochs were charged, more than its budget of {budget}"
    if final and charged < budget and not row["reason"]:
        yield f"it ended with {charged} of {budget} epochs charged and gives no reason"
    missing = int(account.order[-1]) + 1 - len(account.order) if len(account.order) else 0
    if final and missing > row["failed_trials"]:
        yield f"its orders have {missing} gaps, but {row['failed_trials']} of its trials failed"
    yield from _incumbent(account, row)
    if over:
        yield from _sums(account, row)


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


def _trials(account: Account, data: StudyData, run: str) -> Iterator[str]:
    """Checks the rows of a run's trials against its charges."""
    table = data.trials.filter(pc.equal(data.trials["run"], run)) if data.trials.num_rows else data.trials
    rows = table.to_pylist()
    charged = np.bincount(account.number, minlength=len(rows)) if len(account.number) else np.zeros(len(rows), int)
    if len(charged) > len(rows):
        yield f"{len(charged)} of its trials were charged, but the trials table has {len(rows)}"
        return
    for row in rows:
        if row["number"] >= len(charged) or row["epochs"] != charged[row["number"]]:
            yield f"its trial {row['number']} was charged {charged[row['number']]} epochs, but its row has {row['epochs']}"
            return


def _exams(data: StudyData) -> Iterator[str]:
    """Checks that only winners were tested, after as many epochs as they won with or the study file fixes."""
    won = {(row["incumbent_trial"], row["incumbent_epoch"]) for row in data.runs.to_pylist()}
    winners, fixed = {trial for trial, _ in won}, (data.definition.get("final") or {}).get("epochs")
    for trial, exam, epoch in sorted(
        zip(*(data.exams[n].to_pylist() for n in ("trial", "exam", "epoch")), strict=True)
    ):
        if trial not in winners:
            yield f"trial {trial} was examined, but is no run's incumbent"
        elif (trial, epoch) not in won and (exam == "winner" or epoch != fixed):
            yield f"trial {trial} was examined after {epoch} epochs ({exam}), but won after another number"
