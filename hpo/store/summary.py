"""A study in a few numbers, as a list of studies shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.store.state import State


@dataclass(frozen=True)
class Best:
    """The best value of a study's metric: the method and the trial that gave it."""

    method: str
    value: float
    trial: str


@dataclass(frozen=True)
class Summary:
    """A study in a few numbers.

    task: what is trained, in words. methods: labels. seeds, runs: how many. unit: "epochs" or "cost", in which a_run (the
    budget of a run), total (of all runs) and charged count. progress: 0..1, of the budget, runs that ended early counted
    as whole. verdict: at most five words, None where it was not computed for the results as they are. began,
    updated (the last result), sign_of_life (the driver's): unix seconds. figures: what its driver told last, of a study that is
    under way: see hpo.live.monitor.Figures. tag: changes with the study's files that this was made of.
    """

    study: str
    suite: str | None
    archived: bool
    owner: str | None
    priority: float
    state: State
    task: str
    trainable: str
    metric: str
    mode: str
    methods: tuple[str, ...]
    seeds: int
    runs: int
    runs_complete: int
    unit: str
    a_run: float | None
    total: float | None
    charged: float
    progress: float
    best: Best | None
    verdict: str | None
    failed_trials: int
    began: float | None
    updated: float | None
    sign_of_life: float | None
    trained_epochs: int = 0
    figures: Mapping[str, Any] | None = None
    tag: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as the API shows it."""
        raise NotImplementedError


class Listing:
    """The summaries of a store's studies; keeps those whose files have not changed since the last look.

    A look is two listings of the store, whatever the number of studies, and one request for each summary that changed.
    """

    def __init__(self, uri: str) -> None:
        raise NotImplementedError

    def summaries(self, waiting: Mapping[str, float] | None = None) -> list[Summary]:
        """Returns all studies' summaries by name, archived ones too.

        `waiting`: since when a job that will play a study waits for its turn, by the study's name. Blocks; may be called
        from any thread. Raises StoreError, Unreachable where the store is away.
        """
        raise NotImplementedError


def summary(uri: str, study: str, waiting: float | None = None) -> Summary:
    """Returns one study's summary, read from its tables. Raises StoreError if there is no such study."""
    raise NotImplementedError
