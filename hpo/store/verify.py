"""Checks that a study adds up: derives identities, ledgers, orders, incumbents and waste again from epochs and charges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hpo.storage.place import place
from hpo.store import seal
from hpo.store.agreement import REPLAY
from hpo.store.checks import identity, ledger, standing
from hpo.store.checks.book import Account, Book
from hpo.store.checks.exams import exams, missing
from hpo.store.checks.head import head, stored_study
from hpo.store.errors import StoreError
from hpo.store.reader import StudyData, read, studies


def verify(uri: str, study: str | None = None) -> list[str]:
    """Returns a sentence for each problem of a study, or of all studies of a store; unreadable files come first."""
    names = [study] if study is not None else studies(uri)
    if not names:
        read(uri)  # raises the sentence for an empty store
    return [f"{name}: {problem}" for name in names for problem in _problems(uri, name)]


def _problems(uri: str, study: str) -> dict[str, None]:
    where = place(uri)
    ended = seal.made(where, study)  # before the tables are read: whatever it stands for is in them
    return dict.fromkeys([*check(read(uri, study), ended=ended), *seal.broken(where, study)])


def check(data: StudyData, *, ended: bool) -> list[str]:
    """Returns a sentence for each problem of one study; `ended`: it is sealed, so that no exam may be missing."""
    try:
        study = stored_study(data)
    except StoreError as error:
        return [*data.warnings, str(error)]  # without the study there is nothing to check the tables against
    book = Book.of(data)
    rows = {row["run"]: row for row in data.runs.to_pylist()}
    over = bool(rows) and all(row["status"] == "complete" for row in rows.values())
    problems = [
        *data.warnings, *head(data, study), *identity.names(data), *identity.trials(data, study), *standing.runs(data),
        *standing.failures(data), *standing.run_failures(data), *ledger.curves(book, data),
    ]  # fmt: skip
    trials = _by_run(data)
    for run in sorted(book.places.keys() | rows.keys() | trials.keys()):
        account = Account(book, book.places.get(run, np.array([], np.int64)), data.definition)
        found = [*ledger.orders(account), *ledger.charged(account), *ledger.row_of_run(account, rows.get(run), over)]
        if run in rows:
            found += _standing(account, rows[run], trials.get(run, []), data)
        elif run in trials and run not in book.places:
            found.append("it has trials, but no row in the runs table")
        problems += [f"run {run}: {text}" for text in found]
    examined = ended and not data.environment.get(REPLAY)  # a replay examines nobody
    return [*problems, *(exams(data, study) if over else ()), *(missing(data, study) if over and examined else ())]


def _by_run(data: StudyData) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of each run's trials, by number."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(data.trials.to_pylist(), key=lambda row: (row["run"], row["number"])):
        found.setdefault(row["run"], []).append(row)
    return found


def _standing(account: Account, row: dict[str, Any], trials: list[dict[str, Any]], data: StudyData) -> Iterator[str]:
    """Checks what a run and its trials came to. A run under way may have gone on since its rows were written."""
    yield from standing.counts(row, trials, account.total)
    if row["status"] != "complete":
        return
    yield from standing.trials(account, trials, data)
