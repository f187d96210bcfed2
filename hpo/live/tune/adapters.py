"""The parts that Tune calls: searcher, scheduler, stopper and callback. Each passes its calls on to the keeper."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from hpo.live.tune import private
from hpo.live.tune.keeper import Keeper
from hpo.live.tune.slot import Started


class SlotSearcher(Searcher):
    """Suggests a trial for each slot that is wanted."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(metric=None, mode=None)
        self._keeper = keeper

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._keeper.stopping:
            return str(Searcher.FINISHED)
        return {} if self._keeper.asks(trial_id) else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Does nothing: the scheduler is told too."""

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        return True

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: the store is the state."""


class SlotScheduler(FIFOScheduler):
    """Keeps the trials whose slots are wanted, and lets none train: that is between the driver and their processes."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self._keeper = keeper

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Ends trials whose slots are given back. Tune calls this in every round, before it starts processes."""
        private.start_our_processes(tune_controller)
        for trial in self._keeper.given_back(tune_controller.get_live_trials()):
            tune_controller.stop_trial(trial)
        self._keeper.without_room = private.without_room(tune_controller)
        return None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Takes the only result of a trial: its process has started."""
        self._keeper.started(Started(trial.trial_id, result["actor"], result["node"], result["worker"]))
        return str(TrialScheduler.NOOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._keeper.ended(trial.trial_id)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._keeper.ended(trial.trial_id)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._keeper.failed(trial.trial_id, private.last_words(trial)[:300])


class KeeperStopper(Stopper):
    """Ends the experiment when the keeper is stopping; never a single trial."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._keeper.stopping


class KeeperPause(TrialProgressCallback):
    """Lets Tune rest between its rounds: where no process starts or ends, it would turn without a pause.

    It takes the place of the callback by which Tune tells of each trial on the terminal: a slot is nothing to tell of.
    """

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self._keeper = keeper

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._keeper.rest()

    def log_result(self, trial: Trial, result: dict[str, Any], error: bool = False) -> None:
        """Tells nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Trial, **info: Any) -> None:
        """Tells nothing."""
