"""Makes the files of Optuna beside this one: `PYTHON make_optuna.py` with a Python that has optuna (5.0.0 made these).

Two studies in a SQLite storage (kept as its SQL text, since a database is no text) and in a journal; `plain` reports no
steps. The table of trials is the first study's, with its intermediate values.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

HERE = Path(__file__).parent
EPOCHS = 4


def curves(trial: optuna.Trial) -> float:
    """Learning curves with a failed, a diverged and some pruned trials."""
    rate = trial.suggest_float("rate", 1e-3, 1.0, log=True)
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_int("epochs", EPOCHS, EPOCHS)  # a setting that no trial varies
    loss = 1.0
    for step in range(EPOCHS):
        loss = round(1 / (step + 1) + abs(rate - 0.1) + 0.1 * (optimizer == "sgd"), 6)
        if trial.number == 3 and step == 1:
            raise RuntimeError("out of memory")
        trial.report(float("nan") if trial.number == 4 and step == 1 else loss, step)
        if trial.number == 4 and step == 1:
            return float("nan")
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss


def plain(trial: optuna.Trial) -> float:
    """Whole trainings, the same configurations more than once."""
    return abs(trial.suggest_categorical("rate", [0.01, 0.1, 1.0]) - 0.1)


def play(storage: str | optuna.storages.BaseStorage) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(study_name="curves", storage=storage, sampler=sampler, pruner=pruner)
    study.optimize(curves, n_trials=12, catch=(RuntimeError,))
    other = optuna.create_study(study_name="plain", storage=storage, sampler=optuna.samplers.RandomSampler(seed=2))
    other.optimize(plain, n_trials=6)
    return study


def main() -> None:
    journal = HERE / "optuna.journal"
    journal.unlink(missing_ok=True)
    play(JournalStorage(JournalFileBackend(str(journal))))
    with tempfile.TemporaryDirectory() as folder:
        study = play(f"sqlite:///{folder}/optuna.db")
        with sqlite3.connect(f"{folder}/optuna.db") as database:
            text = "\n".join(database.iterdump())
    (HERE / "optuna.sql").write_text(text + "\n")
    attrs = ("number", "value", "datetime_start", "datetime_complete", "intermediate_values", "params", "state")
    study.trials_dataframe(attrs=attrs).to_csv(HERE / "optuna.csv", index=False)


if __name__ == "__main__":
    main()
