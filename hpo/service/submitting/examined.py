"""What a look at a study's text finds: problems with their places, the plan, the work. Pure values, which cross processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FILE = "study.yaml"  # what a study is called in its job's folder
Kind = Literal["invalid", "forbidden", "taken", "away"]


@dataclass(frozen=True)
class Found:
    """A problem at a place of the text, counted from 1: invalid, forbidden here, taken (another study has the name), or
    away (the store does not answer, which says nothing about the study)."""

    line: int
    column: int
    message: str
    kind: Kind = "invalid"


@dataclass(frozen=True)
class Work:
    """What a study would train: epochs of all runs, and what a trial takes; `workers`: trials that may run at a time."""

    epochs: float
    trainable: str
    task: str  # the model and the data, as a summary names them
    bundles: tuple[dict[str, float], ...]
    labels: Mapping[str, str]
    gpus: float
    workers: int


@dataclass(frozen=True)
class Outline:
    """A plan as the API shows it."""

    rows: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Examined:
    """What was found. `text`: the study as a job is sent it; `studies`: one name, or those of a suite's tasks; `plans`: of
    each of these what the store will say of it."""

    problems: tuple[Found, ...] = ()
    name: str | None = None
    studies: tuple[str, ...] = ()
    owner: str | None = None
    store: str | None = None
    plan: Outline | None = None
    work: tuple[Work, ...] = ()
    text: str = ""
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kinds: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", frozenset(one.kind for one in self.problems))
