"""A trial in training, in the process of a worker: its trainable, its curve, its checkpoints. No ray, no torch."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.study.early_stopping import EarlyStopping
from hpo.worker.checkpoints import Checkpoints
from hpo.worker.memory_book import Berth
from trainables.task import Task

log = logging.getLogger(__name__)

SAVE_SHARE = 0.05  # checkpoints may take this share of the time that epochs take
REPORT_SECONDS = 0.05  # short epochs are reported together, so that the driver is not flooded


@dataclass(frozen=True)
class Assignment:
    """What a worker is to do: train a trial to epoch `stop`; with `exam`, test it there.

    `known` epochs are in the store already. `config` is merged over the study's fixed hyperparameters.
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
    packed: bool = False  # to wait for room on the device that it shares
    alone: bool = False  # it ran out of memory once: to have all of the device
    kept_as: str = ""  # an exam: the winner's trial, under whose id its state is kept for good


@dataclass
class Report:
    """What came of it: new epochs as JSON-able rows, the failure that ended the trial, the test's result.

    `provenance`: what the trainable says that it trains on, in the first report after it was built.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    done: bool = False
    provenance: dict[str, str] = field(default_factory=dict)


Make = Callable[[str, dict[str, Any]], Any]
"""(name of the trainable, its arguments) -> the trainable: in this process, or spread over ranks."""


class Training:
    """Trains an assignment, some epochs a `step`, and resumes from the newest checkpoint of the trial.

    `live` may be the training that the process held before: where it stands at the very epoch that is wanted, it
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
        stopping = assignment.task.get("early_stopping")
        self._rule = EarlyStopping(**stopping) if stopping else None
        self._checkpoints = Checkpoints(assignment.checkpoints)
        if live is not None and live.continues(assignment):
            self.epoch, self.history, self._trainable = live.epoch, live.history, live._trainable
            self._saved, self._save_seconds = live._saved, live._save_seconds
        elif live is not None:
            live.close()

    def continues(self, other: Assignment) -> bool:
        """Whether this training, as it stands, is where `other` has to start."""
        mine = self.assignment
        same = (mine.trial, mine.task, mine.exam) == (other.trial, other.task, other.exam)
        return same and self._trainable is not None and self.epoch <= other.stop and self.epoch >= other.known

    def step(self) -> Report:
        """Trains until there is enough to report. Everything that the trainable raises becomes the trial's failure."""
        report = Report()
        try:
            self._advance(report)
        except Exception as error:
            report.failure = {"epoch": self.epoch, "kind": _kind(error), "reason": _reason(error)}
            report.done = True
            self.close()
        return report

    def close(self) -> None:
        """Lets go of the trainable and of what it holds outside this process."""
        close = getattr(self._trainable, "close", None)
        if close is not None:
            close()
        self._trainable = None
        if self._berth is not None:
            self._berth.leave()
            self._berth = None

    def _advance(self, report: Report) -> None:
        if self._trainable is None:
            self._build()
            found = getattr(self._trainable, "provenance", {})
            report.provenance = {str(name): str(value) for name, value in found.items()}
        report.records.extend(self._recovered)
        self._recovered = []
        began = time.perf_counter()
        while self.epoch < self.assignment.stop and not self._ended:
            report.records.append(self._train())
            if time.perf_counter() - began > REPORT_SECONDS:
                break
        if self.epoch >= self.assignment.stop or self._ended:
            if self.assignment.exam:
                report.test = self._trainable.test()
                self._save(self.assignment.kept_as)
            report.done = True
            if self._berth is not None:
                self.close()  # an idle process must not hold what others wait for

    @property
    def _ended(self) -> bool:
        return bool(self.history) and bool(self.history[-1]["ended"]) and not self.assignment.exam

    def _build(self) -> None:
        given, task = self.assignment, Task.from_json(self.assignment.task)
        config = {**task.fixed, **given.config}
        arguments = {"config": config, "task": task, "seed": given.seed, "max_epochs": given.max_epochs}
        if given.packed and self._make is _own_process:
            self._berth = Berth.of(task.trainable, config, task, whole=given.alone)
        self._trainable = self._make(task.trainable, arguments)
        if self._berth is not None:
            self._berth.probe(self._trainable)
        with self._checkpoints.open(given.trial, at_most=given.stop) as found:
            if found is not None:
                epoch, folder = found
                self.history = json.loads((folder / "curve.json").read_text())
                self._trainable.load(folder)
                self.epoch = self._saved = epoch
                self._recovered = [{**row, "recovered": True} for row in self.history[given.known :]]

    def _train(self) -> dict[str, Any]:
        began = time.perf_counter()
        metrics = self._trainable.train_epoch()
        seconds = time.perf_counter() - began
        if self._berth is not None:
            self._berth.measure()
        self.epoch += 1
        numbers = {name: float(value) for name, value in metrics.items()}
        record = {"epoch": self.epoch, "metrics": numbers, "seconds": seconds, "ended": False, "finished": time.time()}
        self.history.append(record)
        if self._rule is not None and not self.assignment.exam:
            record["ended"] = self._rule.ended([row["metrics"] for row in self.history])
        self._unsaved_seconds += seconds
        self._save_if_due()
        return record

    def _save_if_due(self) -> None:
        """At the end of a segment always, if the trial may go on; else as often as it costs little."""
        given = self.assignment
        if given.exam:
            return
        over = self.epoch >= given.max_epochs or self.history[-1]["ended"]
        due = self._save_seconds <= SAVE_SHARE * self._unsaved_seconds and self._unsaved_seconds > 0.2
        if not over and given.resumable and (self.epoch == given.stop or due):
            began = time.perf_counter()
            self._save(given.trial)
            self._save_seconds = time.perf_counter() - began
            self._saved, self._unsaved_seconds = self.epoch, 0.0

    def _save(self, trial: str) -> None:
        """A place that is full or does not answer is no fault of the trial's: at worst its epochs are trained again."""
        try:
            self._checkpoints.save(trial, self.epoch, self._write)
        except OSError as error:
            log.warning("no checkpoint of %s at epoch %d: %s", trial, self.epoch, error)

    def _write(self, folder: Path) -> None:
        self._trainable.save(folder)
        (folder / "curve.json").write_text(json.dumps(self.history))


def _own_process(trainable: str, arguments: dict[str, Any]) -> Any:
    from trainables import load

    config = arguments.pop("config")
    return load(trainable)(config, **arguments)


def _kind(error: BaseException) -> str:
    """What a failure is, told by the names of the exception's classes: trainables need not import this package."""
    names = {cls.__name__ for cls in type(error).__mro__}
    for kind, members in (
        ("data", {"BadData"}),
        ("invalid", {"InvalidConfig"}),
        ("diverged", {"Diverged"}),
        ("memory", {"OutOfMemory", "MemoryError", "OutOfMemoryError"}),
    ):
        if names & members:
            return kind
    return "error"


def _reason(error: BaseException) -> str:
    """One line."""
    text = " ".join(str(error).split()) or "no message"
    own = _kind(error) != "error"
    return text[:500] if own else f"{type(error).__name__}: {text}"[:500]
