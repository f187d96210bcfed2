"""The arena: all runs of a study over one table of curves. Pure: no ray, no I/O, no wall clock.

Its oracle is the driver (a cluster) or the replay (recorded curves). The oracle asks for `demands`, fills in cells
with `add` or `fail`, and plays the runs that this moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence

from hpo.game.curves import Curves
from hpo.game.demands import Changes, Demand, Demands
from hpo.game.run import Run
from hpo.study.values import Charge, RunFailure


class Arena:
    """Runs that share a table of curves and nothing else.

    >>> arena = Arena(runs, Curves(), ahead=8)        # doctest: +SKIP
    >>> arena.play()                                  # charges for the cells that are known already
    >>> demand = arena.demands()[0]                   # what to train first
    >>> for run in arena.add(demand.key.id, 1, 0.7):  # its first epoch gave 0.7, which moves these runs
    ...     arena.play_run(run)
    """

    def __init__(self, runs: Sequence[Run], curves: Curves, ahead: int = 0) -> None:
        self.runs = list(runs)
        self.curves = curves
        self._ahead = ahead
        self._wanted = Demands(curves)
        self._changes: deque[tuple[int, Changes]] = deque()  # of runs that were played, perhaps in other threads

    @property
    def done(self) -> bool:
        """Whether every run is over."""
        return all(run.done for run in self.runs)

    def play(self) -> list[Charge]:
        """Plays every run as far as the curves reach."""
        return [charge for run in self.runs for charge in self.play_run(run)]

    def play_run(self, run: Run) -> list[Charge]:
        """Plays one run as far as the curves reach. Runs are independent: threads may play different ones."""
        charges = run.play(self.curves, self._ahead)
        self._changes.append((id(run), run.changes(self.curves)))
        return charges

    def events_of(self, run: Run) -> list[Charge | RunFailure]:
        """Plays one run like `play_run`; returns its charges and its failures in their common order."""
        met = len(run.failures)
        charges = self.play_run(run)
        return sorted([*charges, *run.failures[met:]], key=lambda event: event.order)

    def add(self, trial: str, epoch: int, value: float, ended: bool = False) -> list[Run]:
        """Fills in a cell; returns the runs that it may move. A cell that was known changes nothing."""
        if not self.curves.add(trial, epoch, value, ended):
            return []
        self._wanted.learned(trial)
        return self._moved(trial, epoch)

    def fail(self, trial: str, reason: str) -> list[Run]:
        """Records that the trial failed after its known epochs; returns the runs that this may move."""
        epoch = self.curves.known(trial) + 1
        self.curves.fail(trial, reason)
        self._wanted.learned(trial)
        return self._moved(trial, epoch)

    def _moved(self, trial: str, epoch: int) -> list[Run]:
        return [
            run
            for run in self.runs
            if not run.done and (run.rules.clock == "arrival" or run.waiting_for in ((trial, epoch), None))
        ]

    @property
    def wanted(self) -> Demands:
        """What the runs want, the most urgent first; what nobody has taken.

        Urgency is each run's own virtual time, so that the runs share a cluster fairly.
        """
        while self._changes:
            self._wanted.change(*self._changes.popleft())
        return self._wanted

    def demands(self, busy: Container[str] = ()) -> list[Demand]:
        """Returns what is wanted beyond the `busy` trials, the most urgent first: one demand a trial, up to the last epoch
        that any run wants.
        """
        return [demand for demand in self.wanted if demand.key.id not in busy]

    def wants(self, run: Run, trial: str) -> bool:
        """Whether the run wants epochs of the trial that its table lacked when it was played last."""
        return self.wanted.wants(id(run), trial)

    def resumable(self, trial: str) -> bool:
        """Whether any run may still want epochs of the trial, so that its checkpoint must be kept."""
        return any(run.resumable(trial) for run in self.runs) or self.wanted.stop(trial) > self.curves.known(trial)
