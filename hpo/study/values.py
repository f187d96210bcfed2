"""The frozen values of a study: trials known by their content, their epochs, runs, charges and outcomes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from hpo.study.amounts import Unit
from hpo.study.combinations import Config

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Any) -> str:
    """Returns the same JSON text for equal values: keys sorted, no spaces, 1.0 apart from 1."""
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """Returns the first 16 hexadecimal digits of SHA-256 over the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrialKey:
    """The identity of a trial: everything that its learning curve depends on.

    `task` is the digest of data, model, trainable and fixed settings. `max_epochs` is part of the key because
    learning-rate schedules run over it. Two methods that ask for equal keys share one training; both are charged.
    """

    task: str
    config: Config
    seed: int
    max_epochs: int

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits: the trial's name in the store, in messages and in checkpoint paths."""
        return digest([self.task, dict(self.config), self.seed, self.max_epochs])

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrialKey) and self.id == other.id


@dataclass(frozen=True, order=True)
class RunKey:
    """One run of a study: a method (by its label) with a seed."""

    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method}/{self.seed}"


@dataclass(frozen=True)
class Method:
    """A method of a study: its registered name, a label that is unique in the study, and its options.

    `parallelism`: the virtual workers of its runs, if not the study's.
    """

    name: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    parallelism: int | None = None


@dataclass(frozen=True)
class Segment:
    """The epochs start+1 .. stop of a run's trial, all of which the schedule is certain to want.

    `trial` counts the run's trials from 0 in the order in which they were first asked for. No result can shorten a
    segment: a schedule that may stop a trial after any epoch hands out segments of one epoch.
    """

    trial: int
    config: Config
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"0 <= start < stop must hold, but got (start={self.start}, stop={self.stop})")


class Decision(Enum):
    """What happens to a trial after an epoch.

    Within a segment CONTINUE trains on. At the end of a segment the virtual worker becomes free whatever the
    decision: CONTINUE and PAUSE let a later segment resume the trial; STOP ends it for this run.
    PAUSE or STOP before the end of a segment refunds the segment's remaining epochs.
    """

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True)
class EpochRecord:
    """One trained epoch (1-based) of a trial: its metrics, and the seconds that its training took.

    `attempt` is 0 for the first training of the epoch; higher attempts are wasted epochs, trained again after a
    fault. `ended` marks the last epoch of a curve that early stopping ended: no later epoch exists.
    """

    trial: str
    epoch: int
    metrics: Mapping[str, float]
    seconds: float = 0.0
    attempt: int = 0
    worker: str = ""
    ended: bool = False

    def __post_init__(self) -> None:
        if self.epoch < 1:
            raise ValueError(f"epoch >= 1 must hold, but got {self.epoch}")


@dataclass(frozen=True)
class Failure:
    """A trial that trained `epoch` epochs, failed in the next one and will train no more.

    `kind` is one of invalid (the configuration is impossible), diverged (NaN or infinite), memory (it does not
    fit), error (the trainable raised), lost (its worker died more often than allowed).
    """

    trial: str
    epoch: int
    reason: str
    kind: str = "error"


@dataclass(frozen=True)
class Incumbent:
    """The best epoch that a run has been charged for so far; `value` is the metric itself, its sign unchanged."""

    trial: str
    number: int
    config: Config
    epoch: int
    value: float


@dataclass(frozen=True)
class Observation:
    """An earlier result that a searcher learns from before its run begins (warm start); a larger `value` is better.

    `task`: the name of another task that it is of, whose values compare only among themselves and whose configuration may
    lie outside the study's space; None for the study's own task.
    """

    config: Config
    epoch: int
    value: float
    task: str | None = None


@dataclass(frozen=True)
class Charge:
    """One epoch that a run was charged for. `order` counts the run's events from 0 in the order of its clock.

    `at` is the virtual time at which the epoch ends, in ticks; `number` is the trial's number in the run. `seen` counts
    the events that had passed when the epoch's segment was handed out: its decision depends on them. It is 0 where no
    result decides, and None where it was not recorded. `cost`: what the epoch cost in millionths, where it is declared.
    """

    run: RunKey
    order: int
    trial: str
    number: int
    epoch: int
    at: float
    value: float
    seen: int | None = None
    cost: int | None = None


@dataclass(frozen=True)
class RunFailure:
    """A failed trial as one run met it: an event of the run like a charge, with a place in the same order.

    `epoch`: the epochs of the trial that the run had been charged for.
    """

    run: RunKey
    order: int
    trial: str
    number: int
    epoch: int


@dataclass(frozen=True)
class Outcome:
    """How a run ended or stands: its ledger, its incumbent, and in `reason` why it left part of the budget unused."""

    run: RunKey
    status: str  # complete | partial
    committed: int  # epochs
    cost: int | None  # of these epochs, in millionths, where it is declared
    spent: int  # of the budget, in its unit's amounts
    budget: int
    unit: Unit
    trials: int
    failed_trials: int
    incumbent: Incumbent | None
    reason: str = ""
    extra: Mapping[str, float] = field(default_factory=dict)
