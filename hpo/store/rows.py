"""How runs stand, as rows for the store's `trials` and `runs` tables. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpo.game.run import Run
from hpo.study.values import Method


class Effort:
    """What training took, by trial: seconds of the epochs that count, and the epochs that were trained again."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.wasted: Counter[str] = Counter()
        self.pace: float | None = None  # seconds that an epoch takes, the latest ones most

    def add(self, trial: str, epoch: int, seconds: float, attempt: int) -> None:
        self.pace = seconds if self.pace is None else self.pace + 0.1 * (seconds - self.pace)
        if attempt > 0:
            self.wasted[trial] += 1
            return
        spent = self.seconds.setdefault(trial, [])
        spent.extend([0.0] * (epoch - len(spent)))
        spent[epoch - 1] = seconds


def trial_rows(
    study: str, runs: Iterable[Run], kinds: Mapping[str, str], failures: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One row for each trial of each run; `kinds`: hyperparameter -> column type, `failures`: trial -> kind of failure."""
    rows = []
    for run in runs:
        for trial in run.trials:
            config = {f"config_{n}": str(v) if kinds.get(n) == "str" else v for n, v in trial.key.config.items()}
            failed = trial.status == "failed"
            rows.append(
                {
                    "study": study,
                    "run": str(run.key),
                    "method": run.key.method,
                    "seed": run.key.seed,
                    "number": trial.number,
                    "trial": trial.key.id,
                    **config,
                    "status": trial.status,
                    "epochs": trial.epochs,
                    "best_epoch": trial.best_epoch or None,
                    "best_value": trial.best_value if trial.best_epoch else None,
                    "kind": failures.get(trial.key.id, "diverged") if failed else None,
                    "reason": trial.reason if failed else None,
                }
            )
    return rows


def run_rows(study: str, runs: Sequence[Run], methods: Mapping[str, Method], effort: Effort) -> list[dict[str, Any]]:
    """One row for each run. `shared_epochs`: charged to this run and to another one too, trained once."""
    users: Counter[tuple[str, int]] = Counter()
    for run in runs:
        users.update((t.key.id, epoch) for t in run.trials for epoch in range(1, t.epochs + 1))
    rows = []
    for run in runs:
        outcome = run.outcome()
        best = outcome.incumbent
        cells = [(t.key.id, epoch) for t in run.trials for epoch in range(1, t.epochs + 1)]
        method = methods[run.key.method]
        rows.append(
            {
                "study": study,
                "run": str(run.key),
                "method": run.key.method,
                "seed": run.key.seed,
                "name": method.name,
                "options": json.dumps(dict(method.options), sort_keys=True),
                "status": outcome.status,
                "reason": outcome.reason or None,
                "budget_epochs": outcome.budget,
                "charged_epochs": outcome.committed,
                "shared_epochs": sum(1 for cell in cells if users[cell] > 1) * run.rules.charge,
                "wasted_epochs": sum(effort.wasted[t.key.id] for t in run.trials) * run.rules.charge,
                "trials": outcome.trials,
                "failed_trials": outcome.failed_trials,
                "incumbent_trial": best.trial if best else None,
                "incumbent_epoch": best.epoch if best else None,
                "incumbent_value": best.value if best else None,
                "train_seconds": sum(sum(effort.seconds.get(t.key.id, [])[: t.epochs]) for t in run.trials),
            }
        )
    return rows
