"""When a trial is to blame for what becomes of its processes, and not their nodes. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict

from hpo.text import wording

WORKER_DEATHS = 10  # of any kind, of one trial: kills, preemptions and lost nodes hardly ever meet one so often
OWN_FAULTS = 3  # of one kind, which processes of one trial reported: what comes again in new processes is the trial's


class Blame:
    """Counts the deaths of each trial's processes, and by their wording the faults that the processes reported."""

    def __init__(self) -> None:
        self._deaths: Counter[str] = Counter()
        self._faults: dict[tuple[str, str], set[str]] = defaultdict(set)  # trial and wording -> workers

    def fault(self, trial: str, worker: str, reason: str) -> None:
        """Notes that a process could not go on while it trained the trial."""
        self._faults[trial, wording(reason)].add(worker)

    def death(self, trial: str) -> None:
        """Notes that a process of the trial died."""
        self._deaths[trial] += 1

    def verdict(self, trial: str, last: str) -> str:
        """Returns why the trial fails; empty where it is not to blame. `last`: why its last process died."""
        met = len(self._faults[trial, wording(last)])
        if met >= OWN_FAULTS:
            return f"{met} processes that trained it met the same fault and could not go on, the last one with: {last}"
        if self._deaths[trial] >= WORKER_DEATHS:
            return f"{WORKER_DEATHS} of its workers died, the last one with: {last}"
        return ""
