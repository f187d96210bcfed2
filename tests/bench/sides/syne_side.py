"""Syne Tune on this machine, which looks at trials every 0.1 s (default: 5 s). Arguments: TRIALS EPOCHS SECONDS WORKERS
FOLDER."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, loguniform
from syne_tune.optimizer.baselines import RandomSearch
from task import OPTIMIZERS, RATES

logging.getLogger().setLevel(logging.ERROR)
trials, epochs, seconds, workers = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
space = {
    "learning_rate": loguniform(*RATES), "optimizer": choice(list(OPTIMIZERS)), "epochs": epochs, "seconds": seconds,
}  # fmt: skip
tuner = Tuner(
    trial_backend=LocalBackend(entry_point=str(Path(__file__).parent / "syne_trial.py")),
    scheduler=RandomSearch(space, metrics=["val_accuracy"], do_minimize=False, random_seed=0),
    stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
    n_workers=workers,
    sleep_time=0.1,
    save_tuner=False,
)
tuner.run()
assert tuner.tuning_status.num_trials_finished >= trials
