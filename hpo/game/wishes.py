"""What a run wants otherwise than when it was last asked, noted as it plays. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.game.demands import Changes, Demand, merged
from hpo.game.workers import Worker
from hpo.study.values import RunKey


class Wishes:
    """The demands that came and went since the last `changes`; those that came and went in between leave no trace.

    `entangled`: a trial may be wanted for several reasons at a time, so that one of them going tells nothing. The run
    must then list its demands as a whole.
    """

    def __init__(self, run: RunKey) -> None:
        self.entangled = False
        self._run = run
        self._new: dict[str, Demand | None] = {}
        self._told: set[str] = set()
        self._whole = True  # the last answer was, or there was none

    def want(self, worker: Worker) -> None:
        """Notes that a worker trains up to the epochs that it was granted."""
        key = worker.trial.key
        self._new[key.id] = Demand(worker.ends, self._run, key, worker.granted)

    def drop(self, worker: Worker) -> None:
        """Notes that a worker trains no further."""
        trial = worker.trial.key.id
        if trial in self._told:
            self._told.discard(trial)
            self._new[trial] = None
        else:
            self._new.pop(trial, None)

    def forget(self) -> None:
        """Makes the next answer list everything: what was planned may be wanted no longer."""
        self._whole = True

    def must_be_whole(self, now: bool) -> bool:
        """Whether the next answer must list everything: where it must `now`, and once more afterwards."""
        now |= self.entangled
        whole, self._whole = self._whole or now, now
        return whole

    def whole(self, demands: Iterable[Demand]) -> Changes:
        """Returns all that the run wants."""
        found = merged(demands)
        self._new, self._told = {}, set(found)
        return Changes(found, whole=True)

    def more(self, planned: Iterable[Demand]) -> Changes:
        """Returns what has changed, with what is newly planned."""
        found, self._new = self._new, {}
        found.update((demand.key.id, demand) for demand in planned)
        self._told.update(trial for trial, demand in found.items() if demand is not None)
        return Changes(found)
