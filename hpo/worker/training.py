"""A trial in training, in a worker process: its trainable, its curve, its checkpoints. Imports neither ray nor torch."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.text import encodable, shown
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.memory_book import Berth
from trainables.early_stopping import EarlyStopping
from trainables.faults import is_memory, is_process_fault
from trainables.memory import release_unused
from trainables.task import Task

log = logging.getLogger(__name__)

SAVE_SHARE = 0.05  # of the epochs' time: what checkpoints may take
FAULT = "process"  # the kind of a failure that is the process's
REPORT_SECONDS = 0.05  # short epochs are reported together, so that the driver is not flooded


@dataclass(frozen=True)
class Assignment:
    """A worker's task: to train a trial to epoch `stop`, and with `exam` to test it there.

    `known` epochs are in the store already. `config` overrides the study's fixed hyperparameters.
    """

    trial: str
    config: Mapping[str, Any]
    task: Mapping[str, Any]
    seed: int
    max_epochs: int
    stop: int
    known: int
    checkpoints: str
    resumable: bool = True
    exam: bool = False
    packed: bool = False  # it shares its device, and waits for room there
    alone: bool = False  # it ran out of memory once, and gets the whole device
    within: str = ""  # where the study lies; if that is a folder and is gone, nothing is kept
    kept_as: str = ""  # of an exam: the winner, under whose id the final state is kept for good


@dataclass
class Report:
    """What came of an assignment: new epochs as JSON rows, the failure that ended the trial, the test's result.

    `provenance`: the data and device that the trainable names, in the first report after it was built.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    done: bool = False
    provenance: dict[str, str] = field(default_factory=dict)


Make = Callable[[str, dict[str, Any]], Any]
"""(name of a trainable, its arguments) -> the trainable, in this process or spread over ranks."""


class Training:
    """Trains an assignment, a few epochs per `step`, from the trial's newest checkpoint on.

    `live` may be the process's training before this one: where it stands where this one has to start, its trainable
    goes on without being rebuilt.
    """

    def __init__(self, assignment: Assignment, live: Training | None = None, make: Make | None = None) -> None:
        self.assignment = assignment
        self._make = make or _own_process
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        self._trainable: Any = None
        self._berth: Berth | None = None
        self._recovered: list[dict[str, Any]] = []
        self._saved = 0
        self._unsaved_seconds = 0.0
        self._save_seconds = 0.0
        self._rule = EarlyStopping.of(Task.from_json(assignment.task))
        self._checkpoints = Checkpoints(assignment.checkpoints, assignment.within)
        if live is not None and live.continues(assignment):
            self.epoch, self.history, self._trainable = live.epoch, live.history, live._trainable
            self._saved, self._save_seconds = live._saved, live._save_seconds
        elif live is not None:
            live.close()

    def continues(self, other: Assignment) -> bool:
        """Whether this training stands where `other` has to start."""
        mine = self.assignment
        same = (mine.trial, mine.task, mine.exam) == (other.trial, other.task, other.exam)
        return same and self._trainable is not None and self.epoch <= other.stop and self.epoch >= other.known

    @property
    def built(self) -> bool:
        """Whether the trainable was made, so that its device could be used."""
        return self._trainable is not None

    def step(self) -> Report:
        """Trains until there is enough to report. Whatever the trainable raises becomes the trial's failure.

        A failure of kind FAULT is the process's: it must end, and the trial is not to blame.
        """
        report = Report()
        try:
            self._advance(report)
        except Exception as error:
            report.failure = {"epoch": self.epoch, "kind": _kind(error), "reason": _reason(error)}
            report.done = True
        if report.failure is not None and report.failure["kind"] != FAULT:  # a process that is to end can free nothing
            self.close()  # now that the exception is gone, whose frames hold what ran out
        return report

    def close(self) -> None:
        """Frees the trainable and what it holds: of its device, and outside this process."""
        close = getattr(self._trainable, "close", None)
        if close is not None:
            close()
        self._trainable = None
        if self._berth is not None:
            self._berth.leave()
            self._berth = None
        else:
            release_unused()

    def _advance(self, report: Report) -> None:
        if self._trainable is None:
            self._build()
            found = getattr(self._trainable, "provenance", {})
            report.provenance = {encodable(str(name)): encodable(str(value)) for name, value in found.items()}
        report.records.extend(self._recovered)
        self._recovered = []
        began = time.perf_counter()
        while self.epoch < self.assignment.stop and not self._ended:
            report.records.append(self._train())
            if time.perf_counter() - began > REPORT_SECONDS:
                break
        if self.epoch >= self.assignment.stop or self._ended:
            if self.assignment.exam:
                report.test = _tested(self._trainable)
                self._save(self.assignment.kept_as)
            report.done = True
            if self._berth is not None or self._over or self.assignment.exam:
                self.close()  # an idle process must hold neither what others wait for nor what nobody needs again

    @property
    def _over(self) -> bool:
        """Whether no segment of the trial can follow."""
        return self.epoch >= self.assignment.max_epochs or self._ended

    @property
    def _ended(self) -> bool:
        return bool(self.history) and bool(self.history[-1]["ended"]) and not self.assignment.exam

    def _build(self) -> None:
        given, task = self.assignment, Task.from_json(self.assignment.task)
        config = {**task.fixed, **given.config}
        arguments = {"config": config, "task": task, "seed": given.seed, "max_epochs": given.max_epochs}
        if given.packed and self._make is _own_process:
            self._berth = Berth.of(task.trainable, config, task, whole=given.alone)
        self._trainable = self._make(task.trainable, dict(arguments))
        if self._berth is not None:
            self._berth.probe(self._trainable)
        with self._checkpoints.opened(given.trial, at_most=given.stop) as found:
            for epoch, folder in found:
                if self._resumes(epoch, folder):
                    return
                self._trainable = None  # frees its memory before there is another
                self._trainable = self._make(task.trainable, dict(arguments))

    def _resumes(self, epoch: int, folder: Path) -> bool:
        """Loads a checkpoint; False where it is damaged, which only costs epochs trained again.

        Nothing tells a damaged checkpoint from a trainable whose `load` is wrong: that one begins anew each time, and
        ends, because what a trial raises in training counts.
        """
        try:
            history = json.loads((folder / "curve.json").read_text())
            if [row["epoch"] for row in history] != list(range(1, epoch + 1)):
                raise ValueError(f"its curve must have the epochs 1 to {epoch}")
            self._trainable.load(folder)
        except Exception as error:  # whatever a trainable's own code raises on damaged files
            if _kind(error) in (FAULT, "memory"):
                raise
            trial = self.assignment.trial
            log.warning("the checkpoint of trial %s at epoch %d is not usable: %s", trial, epoch, _reason(error))
            return False
        self.epoch = self._saved = min(epoch, getattr(self._trainable, "resumed_epoch", epoch))
        self.history = history[: self.epoch]
        self._recovered = [{**row, "recovered": True} for row in self.history[self.assignment.known :]]
        return True

    def _train(self) -> dict[str, Any]:
        began = time.perf_counter()
        metrics = self._trainable.train_epoch()
        seconds = time.perf_counter() - began
        if self._berth is not None:
            self._berth.measure()
        self.epoch += 1
        numbers = {encodable(name): float(value) for name, value in metrics.items()}
        record = {"epoch": self.epoch, "metrics": numbers, "seconds": seconds, "ended": False, "finished": time.time()}
        self.history.append(record)
        if self._rule is not None and not self.assignment.exam:
            record["ended"] = self._rule.ended([row["metrics"] for row in self.history])
        self._unsaved_seconds += seconds
        self._save_if_due()
        return record

    def _save_if_due(self) -> None:
        """Saves a trial that may go on: at the end of its segment, and before that as often as it costs little."""
        given = self.assignment
        if given.exam:
            return
        due = self._save_seconds <= SAVE_SHARE * self._unsaved_seconds and self._unsaved_seconds > 0.2
        if not self._over and given.resumable and (self.epoch == given.stop or due):
            began = time.perf_counter()
            self._save(given.trial)
            self._save_seconds = time.perf_counter() - began
            self._saved, self._unsaved_seconds = self.epoch, 0.0

    def _save(self, trial: str) -> None:
        """Saves a checkpoint. A full or silent place fails no trial: at worst its epochs are trained again."""
        try:
            self._checkpoints.save(trial, self.epoch, self._write)
        except OSError as error:
            log.warning("could not save a checkpoint of trial %s at epoch %d: %s", trial, self.epoch, error)

    def _write(self, folder: Path) -> None:
        self._trainable.save(folder)
        (folder / "curve.json").write_text(json.dumps(self.history))


def _own_process(trainable: str, arguments: dict[str, Any]) -> Any:
    from trainables import load

    config = arguments.pop("config")
    return load(trainable)(config, **arguments)


def _tested(trainable: Any) -> dict[str, Any]:
    """Returns the test's metrics. A test without any would leave an exam that is neither passed nor failed."""
    found = trainable.test()
    if not isinstance(found, Mapping) or not found:
        raise TypeError(f"test must return metrics by name, but it returned {shown(found)}")
    return dict(found)


def _kind(error: BaseException) -> str:
    """Returns a failure's kind by the names of the exception's classes, so that trainables need not import this package,
    and by the words of libraries.
    """
    if is_memory(error):
        return "memory"
    if is_process_fault(error):
        return FAULT
    names = {cls.__name__ for cls in type(error).__mro__}
    for kind, name in (
        ("study", "BadStudy"),
        ("weights", "BadWeights"),
        ("data", "BadData"),
        ("invalid", "InvalidConfig"),
        ("diverged", "Diverged"),
    ):
        if name in names:
            return kind
    return "error"


def _reason(error: BaseException) -> str:
    """Returns the whole message on one line, with the class of an exception that is not one of the known kinds."""
    text = encodable(" ".join(str(error).split())) or "no message"
    own = _kind(error) != "error"
    return text[:500] if own else f"{type(error).__name__}: {text}"[:500]
