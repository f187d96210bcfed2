"""Epochs and charges as arrays, and the charges of one run: what the checks of a ledger work on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpo.store.columns import codes, numbers, whole
from hpo.store.reader import StudyData
from hpo.study.amounts import MILLION

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


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
        columns["seen"] = numbers(data.charges, "seen")
        columns["cost"] = np.round(numbers(data.charges, "cost") * MILLION)
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
        self.virtual = definition.get("clock") != "arrival"
        self.cells = book.charged[mine]
        self.users = book.users[mine]
        self.order, self.number, self.epoch, self.at, self.value, self.seen, self.cost = (
            book.charges[name][mine] for name in ("order", "number", "epoch", "at", "value", "seen", "cost")
        )

    @property
    def total(self) -> int:
        return len(self.cells) * self.each

    @property
    def paid(self) -> int | None:
        """What its epochs cost, in millionths; None where a charge does not say."""
        return None if np.isnan(self.cost).any() else int(self.cost.astype(np.int64).sum())

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
