"""What a slot does next: the most urgent demand of the arena, or an exam when every run is over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from hpo.game.arena import Arena
from hpo.game.demands import Demand
from hpo.live.exams import Exams
from hpo.store import layout
from hpo.study.study import Study
from hpo.study.values import TrialKey
from hpo.worker.training import Assignment

MOST_AT_A_TIME = 16  # assignments for one slot


class Assignments:
    """Makes assignments, and knows which of them are under way (`live`).

    `over` tells whether every run is over, so that exams may begin; `keep` is called with each trial that begins. A trial
    that ran out of memory is tried once more, alone: while it is under way, nothing else begins.
    """

    def __init__(
        self,
        study: Study,
        arena: Arena,
        exams: Exams,
        checkpoints: str,
        over: Callable[[], bool],
        keep: Callable[[str], None],
    ) -> None:
        self.live: dict[str, Assignment] = {}
        self._study, self._arena, self._exams, self._place = study, arena, exams, checkpoints
        self._over, self._keep = over, keep
        self._task: dict[str, Any] = study.located()
        self._keys: dict[str, TrialKey] = {}  # of the trials under way
        self._retried: set[str] = set()  # trials that ran out of memory once

    @property
    def finished(self) -> bool:
        """Whether nothing is under way and nothing is left to do."""
        return self._over() and not self.live and self._exams.next(self.live) is None

    def next(self) -> Assignment | None:
        """Begins the most urgent thing that no slot does yet; None where there is nothing to do right now."""
        if not self._retried.isdisjoint(self.live):
            return None
        for demand in self._arena.wanted:
            if demand.key.id not in self._retried or not self.live:
                return self._begin(self._training(demand), demand.key)
        exam = self._exams.next(self.live) if self._over() else None
        return None if exam is None else self._begin(self._exams.assignment(exam), exam.key)

    def wants(self, most: int) -> int:
        """Counts the assignments that could be under way now, up to `most`: those that are, and what no slot does yet."""
        count = len(self.live)
        if count >= most or not self._retried.isdisjoint(self.live):
            return min(count, most)
        if self._over():
            return min(count + self._exams.waiting(self.live), most)
        return min(count + len(self._arena.wanted), most)

    def batch(self, seconds: float, others: int, pace: float | None) -> list[Assignment]:
        """Begins what one slot should do next: one thing, or several that are expected to take `seconds` together.

        There are several only where enough is left for the `others`, the slots that are free too. `pace`: the seconds that
        an epoch takes, where known.
        """
        first = self.next()
        if first is None:
            return []
        if first.exam or first.alone or pace is None:
            return [first]
        expected = (first.stop - first.known) * pace
        more: list[tuple[Assignment, TrialKey]] = []
        waiting = (demand for demand in self._arena.wanted.after(others) if demand.key.id not in self._retried)
        for demand in islice(waiting, MOST_AT_A_TIME - 1):
            assignment = self._training(demand)
            expected += (assignment.stop - assignment.known) * pace
            if expected > seconds:
                break
            more.append((assignment, demand.key))
        return [first, *(self._begin(*pair) for pair in more)]

    def key(self, assignment: Assignment) -> TrialKey:
        """Returns the key of an assignment's trial."""
        known = self._keys.get(assignment.trial)
        return known or self._study.key(assignment.config, assignment.seed, assignment.max_epochs)

    def retry(self, trial: str) -> bool:
        """Lets a trial that ran out of memory be tried once more; False where it has been."""
        if trial in self._retried:
            return False
        self._retried.add(trial)
        self.withdraw(trial)
        return True

    def withdraw(self, trial: str) -> None:
        """Ends an assignment that came to nothing: what is left to train will be assigned anew."""
        self._forget(trial)

    def end(self, trial: str) -> None:
        """Ends an assignment that is done."""
        self._forget(trial)
        self._retried.discard(trial)

    def _forget(self, trial: str) -> None:
        self.live.pop(trial, None)
        self._keys.pop(trial, None)
        self._arena.wanted.give_back(trial)

    def _begin(self, assignment: Assignment, key: TrialKey) -> Assignment:
        self.live[assignment.trial] = assignment
        self._keys[assignment.trial] = key
        self._arena.wanted.take(assignment.trial)
        self._keep(assignment.trial)
        return assignment

    def _training(self, demand: Demand) -> Assignment:
        key = demand.key
        return Assignment(
            trial=key.id,
            config=dict(key.config),
            task=self._task,
            seed=key.seed,
            max_epochs=key.max_epochs,
            stop=demand.stop,
            known=self._arena.curves.known(key.id),
            checkpoints=self._place,
            within=layout.study_of(self._place),
            packed=self._study.resources.packed,
            alone=key.id in self._retried,
        )
