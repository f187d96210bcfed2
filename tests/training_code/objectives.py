"""Objectives of Optuna, as users write them."""

from __future__ import annotations

import random

import optuna

ENDED: list[str] = []


def objective(trial):
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam", None])
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    momentum = trial.suggest_float("momentum", 0.0, 0.9, step=0.3) if optimizer == "sgd" else 0.0
    layers = trial.suggest_int("layers", 1, 3)
    units = [trial.suggest_int(f"units_{i}", 4, 64, log=True) for i in range(layers)]
    trial.set_user_attr("parameters", sum(units))
    trial.set_user_attr("note", "no number")
    score = rate + momentum
    try:
        for step in range(6):
            score += random.random() / sum(units)
            trial.report(score, step)
            trial.report(-1.0, step)  # Optuna ignores a step that was reported before
            if trial.should_prune():
                raise optuna.TrialPruned
        trial.set_user_attr("test_value", score)
    finally:
        ENDED.append(f"{rate:g}")
    return score


def unreported(trial):
    x = trial.suggest_float("x", -1.0, 1.0)
    y = trial.suggest_categorical("y", [(1, 2), (3,)])
    return x**2 + len(y)


def two(trial):
    x = trial.suggest_int("x", 0, 10, step=5)
    return x, -x


def pruned(trial):
    if trial.suggest_float("x", -1.0, 1.0) < 0:
        raise optuna.TrialPruned("negative")
    trial.report(float("nan"), 1)


def failing(trial):
    if trial.suggest_categorical("kind", ["a", "b"]) == "b":
        raise RuntimeError("b does not work here")
    trial.suggest_float("x", 0.0, 1.0)
    return 0.0


class Objective:
    """An objective with a state of its own."""

    def __init__(self) -> None:
        self.offset = 1.0

    def __call__(self, trial):
        return self.offset + trial.suggest_float("x", -1.0, 1.0)
