"""Studies with given results, as tables in the store's layout: around chosen incumbents, or of any size for measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hpo.store import StudyData

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 0.1, "log": True},
    "batch_size": {"type": "choice", "values": [8, 16, 32, 64]},
    "layers": {"type": "choice", "values": [9, 14, "all"]},
}


def definition(name: str, methods: Sequence[str], seeds: Sequence[int], budget: int, **changes: Any) -> dict[str, Any]:
    return {
        "study": name, "trainable": "curves", "data": {}, "model": {}, "space": SPACE, "fixed": {},
        "budget": {"epochs": budget, "max_epochs": 4}, "methods": [{"name": m, "label": m, "options": {}} for m in methods],
        "seeds": list(seeds), "parallelism": 2, "clock": "virtual", "early_stopping": None, "resources": {},
        "metric": "val_accuracy", "mode": "max", "final": {}, **changes,
    }  # fmt: skip


def simulated_study(
    finals: Mapping[str, Sequence[float]], *, tests: Mapping[str, Sequence[float]] | None = None, name: str = "simulated",
    partial: Sequence[tuple[str, int]] = (), **changes: Any,
) -> StudyData:  # fmt: skip
    """Makes a study with one run for each method and seed; its incumbent is `finals[method][seed]`, NaN for none.

    Each run has two trials of two epochs. `tests`: the results of the winners' exams. `changes` override the definition.
    """
    rows: dict[str, list[dict[str, Any]]] = {
        t: [] for t in ("epochs", "charges", "failures", "trials", "runs", "exams")
    }
    plan = definition(name, list(finals), range(max(map(len, finals.values()))), 4, **changes)
    worse = -0.2 if plan["mode"] == "max" else 0.2
    for method, values in finals.items():
        for seed, final in enumerate(values):
            run = {"study": name, "run": f"{method}/{seed}", "method": method, "seed": seed}
            best = f"{method}-{seed}-1"
            curve = [final + 2 * worse, final + worse, final + worse / 2, final]
            for order, value in enumerate(curve):
                number, epoch = divmod(order, 2)
                trial = f"{method}-{seed}-{number}"
                rows["charges"].append({**run, "order": order, "trial": trial, "number": number, "epoch": epoch + 1,
                                        "at": float(order + 1), "value": float(value)})  # fmt: skip
                rows["epochs"].append({"study": name, "trial": trial, "seed": seed, "epoch": epoch + 1, "attempt": 0,
                                       "accuracy": value + 0.01, plan["metric"]: value, "seconds": 1.0 + number})  # fmt: skip
            rows["trials"] += [
                {**run, "number": n, "trial": f"{method}-{seed}-{n}", "config_learning_rate": 0.01 / (1 + n),
                 "config_batch_size": 32, "config_layers": "all", "status": "completed", "epochs": 2, "best_epoch": 2,
                 "best_value": curve[2 * n + 1], "kind": None, "reason": None} for n in (0, 1)
            ]  # fmt: skip
            known = bool(np.isfinite(final))
            rows["runs"].append({
                **run, "name": method, "options": json.dumps({}), "reason": None, "budget_epochs": 4, "charged_epochs": 4,
                "status": "partial" if (method, seed) in partial else "complete", "shared_epochs": 1, "wasted_epochs": 2,
                "trials": 2, "failed_trials": 0, "incumbent_trial": best if known else None,
                "incumbent_epoch": 2 if known else None, "incumbent_value": float(final) if known else None,
                "train_seconds": 6.0,
            })  # fmt: skip
            if tests is not None:
                rows["exams"].append({"study": name, "trial": best, "exam": "winner", "seed": seed, "epoch": 2,
                                      "test_accuracy": float(tests[method][seed]), "confusion": None})  # fmt: skip
    columns = {table: pa.Table.from_pylist(found) for table, found in rows.items()}
    return StudyData(name=name, definition=plan, environment={}, **columns)


def large_study(
    name: str, *, methods: int = 5, seeds: int = 10, trials: int = 100, epochs: int = 20, seed: int = 0
) -> StudyData:
    """Makes methods x seeds runs of `trials` trials x `epochs` epochs, none shared: as many epoch rows as charges."""
    rng = np.random.default_rng(seed)
    labels = [f"method{i}" for i in range(methods)]
    runs, per_run = methods * seeds, trials * epochs
    method = np.repeat(np.arange(methods), seeds)
    name_of = [f"{labels[m]}/{s}" for m in range(methods) for s in range(seeds)]
    number = np.tile(np.repeat(np.arange(trials), epochs), runs)
    trial = np.repeat(np.arange(runs), per_run) * trials + number
    epoch = np.tile(np.arange(1, epochs + 1), runs * trials)
    quality = rng.beta(2, 4, runs * trials) + 0.02 * np.repeat(method, trials)
    value = quality[trial] * (1 - np.exp(-epoch / 5)) + 0.005 * rng.normal(size=len(trial))
    hexed = pa.array([f"{i:016x}" for i in range(runs * trials)])
    trials_of = pa.DictionaryArray.from_arrays(pa.array(trial, pa.int32()), hexed).cast(pa.string())
    run = pa.DictionaryArray.from_arrays(pa.array(np.repeat(np.arange(runs), per_run), pa.int32()), pa.array(name_of))
    rates = 10 ** rng.uniform(-4, -1, runs * trials)
    order = np.tile(np.arange(per_run), runs)
    charges = pa.table({"run": run.cast(pa.string()), "order": order, "trial": trials_of, "number": number,
                        "epoch": epoch, "at": order.astype(float), "value": value})  # fmt: skip
    stored = pa.table({"trial": trials_of, "config_learning_rate": rates[trial], "epoch": epoch, "val_accuracy": value,
                       "accuracy": value + 0.02, "seconds": rng.gamma(4, 0.5, len(trial)),
                       "attempt": np.zeros(len(trial), np.int64)})  # fmt: skip
    shuffled = stored.take(pa.array(rng.permutation(len(trial))))
    rows = [{"run": n, "method": labels[m], "seed": s, "name": labels[m], "options": "{}", "status": "complete",
             "reason": None, "budget_epochs": per_run, "charged_epochs": per_run, "shared_epochs": 0, "wasted_epochs": 0,
             "trials": trials, "failed_trials": 0, "incumbent_trial": None, "incumbent_epoch": None,
             "incumbent_value": None, "train_seconds": 1.0}
            for n, m, s in zip(name_of, method.tolist(), list(range(seeds)) * methods, strict=True)]  # fmt: skip
    own = pa.table({
        "trial": hexed, "config_learning_rate": rates, "config_batch_size": rng.choice([8, 16, 32, 64], len(hexed)),
        "config_layers": rng.choice(["9", "14", "all"], len(hexed)), "status": ["completed"] * len(hexed),
        "epochs": [epochs] * len(hexed), "best_value": quality,
    })  # fmt: skip
    empty = pa.table({"trial": pa.array([], pa.string())})
    plan = definition(name, labels, range(seeds), per_run, parallelism=4)
    return StudyData(name=name, definition=plan, environment={}, epochs=shuffled, charges=charges, failures=empty,
                     trials=own, runs=pa.Table.from_pylist(rows), exams=empty)  # fmt: skip
