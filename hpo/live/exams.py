"""Final exams: every winner is trained as the study's `final` says, and tested once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.game.arena import Arena
from hpo.store import StudyWriter, layout
from hpo.study.study import Study
from hpo.study.values import TrialKey, digest
from hpo.worker.training import Assignment, Report


@dataclass(frozen=True)
class Exam:
    """A winner's final exam: train it to `epoch` as `task` says, then test it once."""

    trial: str  # the winner
    name: str
    key: TrialKey
    task: Mapping[str, Any]
    epoch: int


class Exams:
    """The exams of a study, known once every run is over. `checkpoints`: where those of trials lie."""

    def __init__(self, study: Study, arena: Arena, writer: StudyWriter, checkpoints: str) -> None:
        self._study, self._arena, self._writer = study, arena, writer
        self._checkpoints = checkpoints
        self._exams: list[Exam] = []
        self._taken: set[str] = set()
        self._passed = [row for row in writer.stored.exams.to_pylist() if row["reason"] is None]

    def next(self, busy: Collection[str]) -> Exam | None:
        """Returns an exam that no store holds and no slot takes; None where there is none. Every run must be over."""
        return next(self._open(busy), None)

    def waiting(self, busy: Collection[str]) -> int:
        """Counts the exams that no store holds and no slot takes. Every run must be over."""
        return sum(1 for _ in self._open(busy))

    def _open(self, busy: Collection[str]) -> Iterator[Exam]:
        if not self._exams:
            self._exams = list(self._all())
        stored = {(row["trial"], row["exam"], row["epoch"]) for row in self._passed}
        return (
            exam
            for exam in self._exams
            if (exam.trial, exam.name, exam.epoch) not in stored
            and exam.key.id not in self._taken
            and exam.key.id not in busy
        )

    def assignment(self, exam: Exam) -> Assignment:
        key = exam.key
        return Assignment(
            trial=key.id,
            config=dict(key.config),
            task=exam.task,
            seed=key.seed,
            max_epochs=key.max_epochs,
            stop=exam.epoch,
            known=0,
            checkpoints=layout.winners(self._checkpoints, exam.name),
            within=layout.study_of(self._checkpoints),
            resumable=False,
            exam=True,
            packed=self._study.resources.packed,
            kept_as=exam.trial,
        )

    def report(self, trial: str, report: Report) -> None:
        """Stores the result of a test, or why it failed. An exam that failed is taken again by the next driver only."""
        exam = next(exam for exam in self._exams if exam.key.id == trial)
        if report.done:
            self._taken.add(trial)
        row = {"trial": exam.trial, "exam": exam.name, "seed": exam.key.seed, "epoch": exam.epoch}
        if report.test is not None:
            self._writer.exam({**row, **report.test})
        elif report.failure is not None:
            self._writer.exam({**row, "reason": report.failure["reason"]})

    def _all(self) -> Iterator[Exam]:
        """Yields the exams of each distinct winner: a trial, and how many epochs it is trained."""
        final, whole = self._study.final, self._study.located()
        winners: dict[tuple[str, int], TrialKey] = {}
        for run in self._arena.runs:
            if (best := run.incumbent) is not None:
                epoch = best.epoch if final.retrain == "none" else final.epochs or best.epoch
                winners.setdefault((best.trial, epoch), run.trials[best.number].key)
        for (trial, epoch), key in winners.items():
            if final.retrain == "none":
                names = {"winner": key.seed}
            else:
                names = {f"retrain/{s}": 10_000 * (key.seed + 1) + s for s in range(final.seeds)}
            for name, seed in names.items():
                task = {**whole, "train_on": final.train or "full"} if final.retrain == "full" else whole
                own = TrialKey(digest([key.task, "exam", name, epoch]), key.config, seed, max(key.max_epochs, epoch))
                yield Exam(trial, name, own, task, epoch)
