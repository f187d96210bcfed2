"""Optuna with WORKERS processes that share a journal file. Arguments: TRIALS EPOCHS SECONDS WORKERS FOLDER."""

from __future__ import annotations

import subprocess
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from task import OPTIMIZERS, RATES, accuracies

trials, epochs, workers = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
seconds, number = float(sys.argv[3]), int(sys.argv[6]) if len(sys.argv) > 6 else None
storage = JournalStorage(JournalFileBackend(f"{sys.argv[5]}/journal"))


def objective(trial: optuna.Trial) -> float:
    config = {
        "learning_rate": trial.suggest_float("learning_rate", *RATES, log=True),
        "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
    }
    value = 0.0
    for epoch, value in enumerate(accuracies(config, epochs, seconds)):
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


optuna.logging.set_verbosity(optuna.logging.ERROR)
if number is None:
    study = optuna.create_study(study_name="side", storage=storage, direction="maximize")
    children = [subprocess.Popen([sys.executable, __file__, *sys.argv[1:], str(k)]) for k in range(workers)]
    assert [child.wait() for child in children] == [0] * workers
    assert len(study.trials) == trials
else:
    sampler, pruner = optuna.samplers.RandomSampler(seed=number), optuna.pruners.NopPruner()
    study = optuna.load_study(study_name="side", storage=storage, sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=trials // workers)
