"""The one Tuner: it starts processes where their requests fit, and ends them."""

from __future__ import annotations

import logging
from typing import Any

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner

from hpo.live.tune import MOST_SLOTS
from hpo.live.tune.adapters import KeeperPause, KeeperStopper, SlotScheduler, SlotSearcher
from hpo.live.tune.keeper import Keeper


class SlotTrainable(tune.Trainable):
    """What Tune takes a slot's process for; see private.start_our_processes."""


class Silence(tune.ProgressReporter):
    """Tells nothing of slots. Tune's own reporter for notebooks would clear what the user's cell has shown so far."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        return None


def tuner(keeper: Keeper, request: Any, scratch: str) -> Tuner:
    """Returns a Tuner of trials that each take `request`, as the keeper wants them. `scratch`: a folder for Tune's own files."""
    logging.getLogger("ray.tune").setLevel(
        logging.CRITICAL
    )  # no stack traces of lost processes: the store has the reasons
    return Tuner(
        tune.with_resources(SlotTrainable, request),
        tune_config=TuneConfig(
            search_alg=SlotSearcher(keeper),
            scheduler=SlotScheduler(keeper),
            num_samples=-1,
            max_concurrent_trials=MOST_SLOTS,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=RunConfig(
            name="study",
            storage_path=scratch,
            verbose=0,
            progress_reporter=Silence(),
            stop=KeeperStopper(keeper),
            callbacks=[KeeperPause(keeper)],
            failure_config=FailureConfig(max_failures=0),  # the keeper asks anew where a slot is still wanted
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            log_to_file=False,
        ),
    )
