"""A study's tables without training: a response surface, searched in the manner of grid, random, bayesian and asha.

The tables have the store's layout and are consistent: charges, incumbents and failures agree with the epochs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.store import StudyData, StudyWriter, schema
from hpo.study.values import Charge, EpochRecord, Failure, RunKey, TrialKey

CLASSES = ["dress", "hat", "pants", "shirt", "shoes"]
OPTIMIZERS = ("adam", "adadelta", "rmsprop", "sgd")
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 0.03, "log": True, "grid": [0.001, 0.01]},
    "dropout": {"type": "float", "low": 0.01, "high": 0.4, "grid": [0.2]},
    "optimizer": {"type": "choice", "values": list(OPTIMIZERS), "grid": ["adam", "rmsprop"]},
    "finetuned_layers": {"type": "choice", "values": [9, 14, 18, "all"]},
}
KINDS = {"learning_rate": "float", "dropout": "float", "optimizer": "str", "finetuned_layers": "str"}
ENVIRONMENT = {
    "hpo-arena": "0.1.0", "python": "3.11.7", "torch": "2.14.1", "ray": "2.60.0", "platform": "Linux x86_64",
    "cpus": 16, "memory_gb": 64.0, "gpus": ["Some GPU 80GB"], "data_digest": "5f3c0a9d2b7e4410", "git_commit": "0123abcd",
}  # fmt: skip


@dataclass
class Tables:
    """The rows of all tables; columns are made once, at the end."""

    name: str
    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {t: [] for t in ("epochs", "charges", "failures", "trials", "runs", "exams")}
    )
    trained: dict[str, int] = field(default_factory=dict)
    keys: dict[str, TrialKey] = field(default_factory=dict)
    clock: float = 1_760_000_000.0
    definition: dict[str, Any] = field(default_factory=dict)

    def train(self, trial: str, config: dict[str, Any], epoch: int) -> float:
        value = accuracy(config, epoch, trial)
        if epoch > self.trained.get(trial, 0):
            self.trained[trial] = epoch
            self.clock += 1.5
            metrics = {"loss": 1.9 - 1.8 * value, "accuracy": min(1.0, value + 0.03), "val_loss": 2 - 1.8 * value}
            self.rows["epochs"].append({
                "study": self.name, "trial": trial, "seed": 0, "max_epochs": 16, **prefixed(config), "epoch": epoch,
                **metrics, "val_accuracy": value, "seconds": 2.0 + (0.8 if config["finetuned_layers"] == "all" else 0),
                "attempt": 0, "worker": "node-1", "ended": False, "finished": self.clock,
            })  # fmt: skip
        return value


def prefixed(config: dict[str, Any]) -> dict[str, Any]:
    return {f"config_{name}": str(v) if name == "finetuned_layers" else v for name, v in config.items()}


def accuracy(config: dict[str, Any], epoch: int, trial: str) -> float:
    """Returns the validation accuracy: it peaks at learning rate 0.003, adam, all layers; with a little noise by content."""
    rate = math.exp(-((math.log10(config["learning_rate"] / 0.003) / 0.9) ** 2))
    optimizer = {"adam": 1.0, "rmsprop": 0.94, "sgd": 0.8, "adadelta": 0.55}[config["optimizer"]]
    layers = {9: 0.86, 14: 0.92, 18: 0.95}.get(config["finetuned_layers"], 1.0)
    top = 0.35 + 0.55 * rate * optimizer * layers - 0.1 * abs(config["dropout"] - 0.2)
    noise = int(hashlib.sha256(f"{trial}{epoch}".encode()).hexdigest()[:6], 16) / 0xFFFFFF - 0.5
    return round(top * (1 - 0.75 * math.exp(-epoch / 2.2)) + 0.012 * noise, 6)


def configs(method: str, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    if method == "grid":
        for layers in (9, 14, 18, "all"):
            for optimizer in ("adam", "rmsprop"):
                for rate in (0.001, 0.01):
                    yield {"learning_rate": rate, "dropout": 0.2, "optimizer": optimizer, "finetuned_layers": layers}
    best = 0
    while True:
        spread = 1.0 if method != "bayesian" or best < 4 else 0.25
        best += 1
        yield {
            "learning_rate": float(10 ** np.clip(-2.5 + spread * rng.uniform(-1.5, 0.97), -4, -1.53)),
            "dropout": float(np.clip(0.2 + spread * rng.uniform(-0.19, 0.2), 0.01, 0.4)),
            "optimizer": OPTIMIZERS[int(rng.integers(0, 4 if spread == 1 else 2))],
            "finetuned_layers": (9, 14, 18, "all")[int(rng.integers(0 if spread == 1 else 2, 4))],
        }


def segments(method: str, rng: np.random.Generator, budget: int) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Yields (number, config, stop): how far each trial trains next. ASHA's trials train to rungs 1, 4, 16."""
    source = configs(method, rng)
    seen: list[tuple[dict[str, Any], int]] = []
    while True:
        if method == "asha" and len(seen) % 4 == 3:
            number = max((i for i, (_, stop) in enumerate(seen) if stop < 16), key=lambda i: accuracy(*seen[i], str(i)))
            stop = 4 if seen[number][1] == 1 else 16
            config = seen[number][0]
            seen[number] = (config, stop)
            if len([1 for _, s in seen if s > 1]) % 3 == 0:
                seen.append((next(source), 1))
                yield len(seen) - 1, seen[-1][0], 1
            yield number, config, stop
        seen.append((next(source), 1 if method == "asha" else 16))
        yield len(seen) - 1, seen[-1][0], seen[-1][1]


def play(tables: Tables, method: str, seed: int, budget: int) -> None:
    rng = np.random.default_rng([seed, len(method)])
    trials: dict[int, dict[str, Any]] = {}
    charged, order = 0, 0
    for number, config, stop in segments(method, rng, budget):
        key = TrialKey("synthetic", config, 0, 16)
        trial = key.id
        tables.keys[trial] = key
        mine = trials.setdefault(number, {
            "study": tables.name, "run": f"{method}/{seed}", "method": method, "seed": seed, "number": number,
            "trial": trial, **prefixed(config), "status": "running", "epochs": 0, "best_epoch": None,
            "best_value": None, "kind": None, "reason": None,
        })  # fmt: skip
        if config["learning_rate"] > 0.02 and config["optimizer"] == "sgd":
            mine |= {"status": "failed", "kind": "diverged", "reason": "the loss is nan at epoch 1, batch 17"}
            failure = {"study": tables.name, "trial": trial, "epoch": 0, "kind": mine["kind"], "reason": mine["reason"]}
            if failure not in tables.rows["failures"]:
                tables.rows["failures"].append(failure)
            order += 1
            continue
        for epoch in range(mine["epochs"] + 1, stop + 1):
            value = tables.train(trial, config, epoch)
            tables.rows["charges"].append({
                "study": tables.name, "run": f"{method}/{seed}", "method": method, "seed": seed, "order": order,
                "trial": trial, "number": number, "epoch": epoch, "at": float(charged // 4 + 1), "value": value,
            })  # fmt: skip
            order, charged, mine["epochs"] = order + 1, charged + 1, epoch
            if mine["best_value"] is None or value > mine["best_value"]:
                mine |= {"best_epoch": epoch, "best_value": value}
            if charged == budget:
                break
        mine["status"] = "completed" if mine["epochs"] == 16 else "paused"
        if charged == budget:
            break
    if (method, seed) == ("random", 0):  # two epochs that were trained again after a fault
        tables.rows["epochs"] += [{**row, "attempt": 1} for row in tables.rows["epochs"][-2:]]
    tables.rows["trials"].extend(trials.values())
    tables.rows["runs"].append(outcome(tables, method, seed, budget, list(trials.values())))


def outcome(tables: Tables, method: str, seed: int, budget: int, trials: list[dict[str, Any]]) -> dict[str, Any]:
    best = max((t for t in trials if t["epochs"]), key=lambda t: t["best_value"])
    value = best["best_value"]
    for exam, exam_seed in (("winner", 0), ("retrain/1", 1)):
        row = {
            "study": tables.name, "trial": best["trial"], "exam": exam, "seed": exam_seed, "epoch": best["best_epoch"],
            "test_accuracy": value - 0.012 - 0.003 * seed, "test_precision": value - 0.02, "test_recall": value - 0.015,
            "test_f1": value - 0.018, "confusion": json.dumps(confusion(value)), "classes": json.dumps(CLASSES),
        }  # fmt: skip
        if not any((r["trial"], r["exam"]) == (row["trial"], exam) for r in tables.rows["exams"]):
            tables.rows["exams"].append(row)
    return {
        "study": tables.name, "run": f"{method}/{seed}", "method": method, "seed": seed, "name": method,
        "options": json.dumps({"max_epochs": 16, "min_epochs": 1, "eta": 4} if method == "asha" else {}),
        "status": "complete", "reason": None, "budget_epochs": budget, "charged_epochs": budget, "shared_epochs": 0,
        "wasted_epochs": 2 if method == "random" and seed == 0 else 0, "trials": len(trials),
        "failed_trials": sum(t["status"] == "failed" for t in trials), "incumbent_trial": best["trial"],
        "incumbent_epoch": best["best_epoch"], "incumbent_value": value, "train_seconds": 2.2 * budget,
    }  # fmt: skip


def confusion(value: float, classes: int = 5) -> list[list[int]]:
    right = round(200 * value)
    matrix = np.full((classes, classes), (200 - right) // (classes - 1))
    np.fill_diagonal(matrix, right)
    return [[int(n) for n in row] for row in matrix]


def played(
    name: str = "clothing-mobilenet",
    *,
    methods: tuple[str, ...] = ("grid", "random", "bayesian", "asha"),
    seeds: tuple[int, ...] = (0, 1, 2),
    budget: int = 160,
) -> Tables:
    """Returns the rows of the study; each run has exactly `budget` charged epochs."""
    tables = Tables(name)
    for method in methods:
        for seed in seeds:
            play(tables, method, seed, budget)
    users = Counter((row["trial"], row["epoch"]) for row in tables.rows["charges"])
    for run in tables.rows["runs"]:
        mine = [(r["trial"], r["epoch"]) for r in tables.rows["charges"] if r["run"] == run["run"]]
        run["shared_epochs"] = sum(users[cell] > 1 for cell in mine)
    tables.definition = {
        "study": name, "trainable": "image_classifier", "data": {"name": "clothing", "seed": 0},
        "model": {"name": "mobilenet_v2", "weights": "DEFAULT"}, "space": SPACE,
        "fixed": {"batch_size": 16, "image_size": 96}, "budget": {"epochs": budget, "max_epochs": 16},
        "methods": [{"name": m, "label": m, "options": {"eta": 4, "min_epochs": 1} if m == "asha" else {}} for m in methods],
        "seeds": list(seeds), "parallelism": 4, "clock": "virtual", "early_stopping": None,
        "resources": {"cpus": 1, "gpus": 0}, "metric": "val_accuracy", "mode": "max",
        "final": {"retrain": "full", "seeds": 1},
    }  # fmt: skip
    return tables


def synthetic_study(name: str = "clothing-mobilenet", **options: Any) -> StudyData:
    """Returns the study as a store would; options as for `played`."""
    tables = played(name, **options)
    arrow = {table: schema.to_table(table, rows, KINDS) for table, rows in tables.rows.items()}
    return StudyData(name=name, definition=tables.definition, environment=dict(ENVIRONMENT), **arrow)


def write_study(uri: str, tables: Tables, *, charges: int | None = None) -> None:
    """Writes the study to a store as a driver does; with `charges`, only the first so many charges: an unfinished study."""
    writer = StudyWriter.open(
        uri, study=tables.name, definition=tables.definition, digest="synthetic", environment=dict(ENVIRONMENT),
        space_kinds=KINDS,
    )  # fmt: skip
    rows = tables.rows
    kept = rows["charges"][:charges]
    cells = {(row["trial"], row["epoch"]) for row in kept}
    for row in rows["epochs"]:
        if charges is None or (row["trial"], row["epoch"]) in cells:
            metrics = {name: row[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
            record = EpochRecord(row["trial"], row["epoch"], metrics, row["seconds"], row["attempt"], row["worker"])
            writer.epoch(tables.keys[row["trial"]], record)
    for row in kept:
        run = RunKey(row["method"], row["seed"])
        writer.charge(Charge(run, *(row[name] for name in ("order", "trial", "number", "epoch", "at", "value"))))
    if charges is None:
        for row in rows["failures"]:
            writer.failure(Failure(row["trial"], row["epoch"], row["reason"], row["kind"]))
        for row in rows["exams"]:
            writer.exam(row)
        writer.snapshot(rows["trials"], rows["runs"])
    writer.close(compact=charges is None)


def minimised(tables: Tables) -> Tables:
    """Returns the study with a loss, which is minimised, as its metric."""
    for row in tables.rows["charges"]:
        row["value"] = 2 - 1.8 * row["value"]
    for row in tables.rows["trials"]:
        row["best_value"] = row["best_value"] and 2 - 1.8 * row["best_value"]
    for row in tables.rows["runs"]:
        row["incumbent_value"] = 2 - 1.8 * row["incumbent_value"]
    tables.definition.update(metric="val_loss", mode="min")
    return tables


def nothing_trained(tables: Tables, why: Callable[[int], str]) -> Tables:
    """Returns the study as it is where no trial trains; `why` gives the reason of a trial by its number."""
    rows = tables.rows
    for row in rows["trials"]:
        row |= {"status": "failed", "kind": "error", "reason": why(row["number"])}
        row |= {"epochs": 0, "best_value": None, "best_epoch": None}
    reasons = {row["trial"]: row["reason"] for row in rows["trials"]}
    rows["failures"] = [
        {"study": tables.name, "trial": trial, "epoch": 0, "kind": "error", "reason": reason}
        for trial, reason in reasons.items()
    ]
    rows |= {"charges": [], "epochs": [], "exams": []}
    for row in rows["runs"]:
        row |= {"status": "partial", "charged_epochs": 0, "incumbent_trial": None, "incumbent_value": None}
        row |= {"failed_trials": row["trials"], "reason": "no trial trained"}
    return tables
