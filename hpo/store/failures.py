"""Why a study has no result: failed trials and failed exams in a sentence, their reasons grouped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hpo.store.columns import numbers
from hpo.text import wording

if TYPE_CHECKING:
    from hpo.store.reader import StudyData

GROUPS = 3  # reasons that a sentence quotes
QUOTED = 160  # characters of a reason


def grouped(reasons: Iterable[str]) -> list[tuple[int, str]]:
    """Returns how often each reason occurs and its first wording, the most frequent first.

    Reasons that differ in numbers, paths and quoted names alone are one.
    """
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(wording(reason), []).append(reason)
    return sorted(((len(found), found[0]) for found in groups.values()), key=lambda group: -group[0])


def told(reasons: Iterable[str]) -> str:
    """Returns the reasons as a clause: `98 x the batch does not fit, 3 x the loss is nan`."""
    groups = grouped(reasons)
    shown = [f"{count} x {_short(reason)}" for count, reason in groups[:GROUPS]]
    others = sum(count for count, _ in groups[GROUPS:])
    return ", ".join([*shown, *([f"{others} x other reasons"] if others else [])])


def _short(reason: str) -> str:
    text = reason.strip().rstrip(".")
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"


def without_result(data: StudyData) -> str:
    """Returns why no trial of the study gave a value of its metric, as a clause; empty where one did or may still do."""
    if np.isfinite(numbers(data.charges, "value")).any():
        return ""
    reasons = {row["trial"]: row.get("reason") or "no reason" for row in data.failures.to_pylist()}
    trials = data.trials.to_pylist()
    reasons |= {row["trial"]: row.get("reason") or "no reason" for row in trials if row["status"] == "failed"}
    if not reasons or any(row["status"] in ("completed", "stopped") for row in trials):
        return ""
    over = bool(data.runs.num_rows) and all(row["status"] == "complete" for row in data.runs.to_pylist())
    which = f"all {len(reasons)} trials failed" if len(reasons) > 1 else "the only trial failed"
    return (
        f"{which if over else f'all trials that have ended failed ({len(reasons)} so far)'}: {told(reasons.values())}"
    )


def failed_exams(data: StudyData) -> str:
    """Returns which of the winners' final exams failed and why, as a clause; empty where none did."""
    rows = data.exams.to_pylist()
    passed = {_exam(row) for row in rows if row.get("reason") is None}
    failed = {_exam(row): row["reason"] for row in rows if row.get("reason") is not None and _exam(row) not in passed}
    if not failed:
        return ""
    return f"{len(failed)} of {len(failed) + len(passed)} final exams failed: {told(failed.values())}"


def _exam(row: dict[str, object]) -> tuple[object, ...]:
    return row["trial"], row["exam"], row["epoch"]
