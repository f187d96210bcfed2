"""Reads the signs that a study's state follows from: lease, seal, results, and the driver's log where it matters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pyarrow.compute as pc

from hpo.storage.place import Place
from hpo.store import journal, lease, reader, seal
from hpo.store.agreement import REPLAY
from hpo.store.checks.exams import missing
from hpo.store.checks.head import stored_study
from hpo.store.errors import StoreError
from hpo.store.failures import failed_exams, without_result
from hpo.store.reader import StudyData
from hpo.store.state import Signs, State, derived, silence

LAST_WORDS = ("interrupted", "failed", "done")


def read(where: Place, study: str, data: StudyData | None = None, *, waiting: float | None = None) -> State:
    """Returns the state of a study of the store. Raises StoreError if there is no such study.

    data: its tables, where they were read a moment ago. waiting: since when a job that will play it waits for its turn.
    """
    held = lease.latest(where, study)  # before the tables: whoever gives the lease back has delivered all before
    sealed = seal.made(where, study)
    signs = of(where, study, reader.read(where.uri, study) if data is None else data, held, sealed=sealed)
    return told(signs, held[1] if held is not None else float("inf"), waiting=waiting)


def told(signs: Signs, age: float, *, waiting: float | None = None) -> State:
    """Returns the state that signs tell on this machine; age: of the driver's last sign, by the clock of the store's place."""
    there = None if signs.holder is None else lease.lives(signs.holder)
    return derived(signs, silent=silence(age, signs.last), there=there, waiting=waiting)


def of(
    where: Place, study: str, data: StudyData, held: tuple[Mapping[str, Any], float] | None, *, sealed: bool
) -> Signs:
    """Returns a study's signs from its tables and its newest lease."""
    holder, _ = held if held is not None else (None, 0.0)
    since = (holder or {}).get("since", 0.0)
    result = latest(data)
    over = sealed or (not _held(holder) and whole(data))
    word = {} if over or _held(holder) else _last_word(where, study, since)
    return Signs(
        holder=holder,
        released=not _held(holder),
        over=over,
        failure=(without_result(data) or failed_exams(data)) if over else "",
        trained=result is not None and result > since,
        last=max((time for time in ((holder or {}).get("renewed"), result) if time is not None), default=None),
        ended=word.get("event", ""),
        reason=reason(word),
        command=data.environment.get("command"),
    )


def _held(holder: Mapping[str, Any] | None) -> bool:
    return holder is not None and not holder.get("released")


def _last_word(where: Place, study: str, since: float) -> dict[str, Any]:
    """Returns what the driver of the last sitting, which began at `since`, wrote of its end; nothing where it did not."""
    with suppress(StoreError):
        for word in journal.words(where, study):
            if word["event"] in LAST_WORDS and float(word.get("time", 0.0)) >= since:
                return word
            if word["event"] == "begun":
                break
    return {}


def reason(word: Mapping[str, Any]) -> str:
    """Returns why a driver ended, from its last word."""
    if word.get("event") == "interrupted":
        return f"stopped by {word.get('signal') or 'a signal'}"
    return str(word.get("reason") or "")


def latest(data: StudyData) -> float | None:
    """Returns when the last result arrived; None without any, and for a replay, whose times are virtual."""
    if REPLAY in data.environment or not data.epochs.num_rows:
        return None
    time: float | None = pc.max(data.epochs["finished"]).as_py()
    return time


def whole(data: StudyData) -> bool:
    """Tells whether every run that the study names is over and every exam taken, where no seal tells.

    Versions before the seal made none.
    """
    status = {row["run"]: row["status"] for row in data.runs.to_pylist()}
    named = [
        f"{m['label']}/{seed}" for m in data.definition.get("methods", ()) for seed in data.definition.get("seeds", ())
    ]
    if not status or any(status.get(run) != "complete" for run in named or status):
        return False
    if REPLAY in data.environment:
        return True
    try:
        return not any(missing(data, stored_study(data)))
    except StoreError:  # not a whole study: nothing says that exams are missing
        return True
