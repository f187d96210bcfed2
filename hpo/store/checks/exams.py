"""Checks that winners, and they alone, were examined as the study file says. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hpo.store import schema
from hpo.store.columns import numbers
from hpo.store.reader import StudyData
from hpo.study.study import Study


def exams(data: StudyData, study: Study) -> Iterator[str]:
    """Checks the exams of a study whose runs are over: their trials, names, seeds and epochs."""
    rows = data.runs.to_pylist()
    won = {(row["incumbent_trial"], row["incumbent_epoch"]) for row in rows}
    seeds = {row["incumbent_trial"]: row["seed"] for row in rows}
    final = study.final
    for trial, exam, epoch, seed in sorted(
        zip(*(data.exams[n].to_pylist() for n in ("trial", "exam", "epoch", "seed")), strict=True), key=str
    ):
        if trial not in seeds:
            yield f"trial {trial} was examined, but is no run's incumbent"
            continue
        if (trial, epoch) not in won and (exam == "winner" or epoch != final.epochs):
            yield f"trial {trial} was examined after {epoch} epochs ({exam}), but won after another number"
        kind, _, place = exam.partition("/")
        if exam != "winner" and not (kind == "retrain" and place.isdigit()):
            yield f"trial {trial} has the exam {exam!r}, which is neither winner nor retrain/k"
        elif seed != (right := seeds[trial] if exam == "winner" else 10_000 * (seeds[trial] + 1) + int(place)):
            yield f"the exam {exam} of trial {trial} must have the seed {right}, but has {seed}"
    metrics = [name for name in data.exams.column_names if name not in schema.columns("exams")]
    for row in data.exams.to_pylist():
        if row["reason"] is not None and any(row[name] is not None for name in metrics):
            yield f"the exam {row['exam']} of trial {row['trial']} failed ({row['reason']}), but has test metrics"
    for name in metrics:
        if any(math.isinf(value) for value in numbers(data.exams, name)):
            yield f"an exam has an infinite {name}"


def missing(data: StudyData, study: Study) -> Iterator[str]:
    """Checks that a study that has ended has every exam that it asks for, passed or failed.

    A run without any value has no winner, and runs that share a winner share its exams.
    """
    final, found = study.final, {(row["trial"], row["exam"], row["epoch"]) for row in data.exams.to_pylist()}
    names = ["winner"] if final.retrain == "none" else [f"retrain/{place}" for place in range(final.seeds)]
    length = None if final.retrain == "none" else final.epochs
    won = {(row["incumbent_trial"], length or row["incumbent_epoch"]) for row in data.runs.to_pylist()}
    for trial, epoch in sorted((trial, epoch) for trial, epoch in won if trial is not None):
        for name in names:
            if (trial, name, epoch) not in found:
                yield f"trial {trial} must have the exam {name} after {epoch} epochs, passed or failed, but it has none"
