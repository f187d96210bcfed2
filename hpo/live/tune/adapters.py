"""The parts that Tune calls: searcher, scheduler, stopper and callback. Each passes its calls on to the link."""

from __future__ import annotations

import time
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from hpo.live.tune import private
from hpo.live.tune.link import Link

OBSERVE_SECONDS = 0.25


class ArenaSearcher(Searcher):
    """Hands the dispatch's assignments to Tune."""

    def __init__(self, link: Link) -> None:
        super().__init__(metric=None, mode=None)
        self._link = link

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._link.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Reports a trial that Tune gave up; the scheduler reports the others."""
        if error:
            self._link.died(trial_id)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        return True

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: the store is the state."""


class ArenaScheduler(FIFOScheduler):
    """Hands workers' reports to the dispatch. It stops and pauses no trial: each ends where its assignment ends.

    It also keeps Tune from ending processes that will be needed. Where trials are shorter than the start of a process,
    Tune by itself lets one process do all the work, and starts and ends the others all the time: it gives a free process
    to a trial whose own is starting, and ends that one; and it keeps no more free processes than trials wait.
    """

    def __init__(self, link: Link, request: tune.PlacementGroupFactory) -> None:
        super().__init__()
        self._link = link
        self._request = request
        self._keeping = False

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Returns a trial that is late, for Tune to give it a free process; None leaves those to trials without one.

        A trial is late where its own process does not start, because others have taken its place. Tune calls this
        before it starts processes and gives free ones away.
        """
        if self._keeping != self._link.busy_lately:
            self._keeping = not self._keeping
            private.keep_free_processes(tune_controller, self._request, self._keeping)
        waiting = private.waiting(tune_controller)
        for trial in waiting:
            private.leave_to_its_own_process(tune_controller, self._request, trial)
        return next((trial for trial in waiting if self._link.is_late(trial.trial_id)), None)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        self._link.receive(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._link.receive(trial.trial_id, trial.last_result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Notes how a process ended. Tune calls it for every failure, and the searcher for final ones alone."""
        self._link.last_words = private.last_words(trial)[:300] or self._link.last_words
        if private.is_resetting(tune_controller, trial):
            self._link.excused.add(trial.trial_id)


class LinkStopper(Stopper):
    """Ends the experiment when the link is stopping; never a single trial."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._link.stopping


class LinkObserver(Callback):
    """Lets the link observe the study, at most four times a second."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._at = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._at > OBSERVE_SECONDS:
            self._at = time.monotonic()
            self._link.observe()
