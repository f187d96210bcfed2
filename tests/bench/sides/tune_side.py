"""Raw Ray Tune. Arguments: TRIALS EPOCHS SECONDS WORKERS FOLDER default|reuse."""

from __future__ import annotations

import sys
from typing import Any

import ray
from ray import tune
from task import OPTIMIZERS, RATES, accuracies, trial

trials, epochs, workers = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
seconds, reuse = float(sys.argv[3]), sys.argv[6] == "reuse"


def function(config: dict[str, Any]) -> None:
    for value in accuracies(config, epochs, seconds):
        tune.report({"val_accuracy": value})


class Trainable(tune.Trainable):
    def setup(self, config: dict[str, Any]) -> None:
        self.training = trial(config, epochs, seconds)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Saves nothing."""

    def step(self) -> dict[str, Any]:
        value = self.training.train_epoch()["val_accuracy"]
        return {"val_accuracy": value, "done": self.training.epoch == epochs}


ray.init(num_cpus=workers, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
tuner = tune.Tuner(
    tune.with_resources(Trainable if reuse else function, {"cpu": 1}),
    param_space={"learning_rate": tune.loguniform(*RATES), "optimizer": tune.choice(OPTIMIZERS)},
    tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=reuse),
    run_config=tune.RunConfig(verbose=0, storage_path=sys.argv[5]),
)
results = tuner.fit()
assert len(results) == trials
assert not results.errors
