"""Stores of any size for measurements: every column filled as a real study fills it, written as its writer writes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpo.storage.place import place
from hpo.store import StudyData, columns, layout, schema
from hpo.store.parquet import to_bytes
from hpo.study.study import Study
from tests.simulated import large_study

KINDS = {"learning_rate": "float", "batch_size": "int", "layers": "str"}


def write(uri: str, name: str, *, trials: int, files: int = 4, seed: int = 0) -> int:
    """A finished study of 50 runs x `trials` trials x 20 epochs; returns its epoch rows, as many as its charges."""
    data, digest = _named(large_study(name, trials=trials, seed=seed), trials)
    rng, where = np.random.default_rng(seed), place(uri)
    n = data.epochs.num_rows
    of = pc.index_in(data.epochs["trial"], value_set=data.trials["trial"].combine_chunks())
    own = data.trials.take(of)
    seeds = pa.array(_seeds(len(data.trials), trials))
    more = {
        "study": pa.array([name] * n), "seed": seeds.take(of), "max_epochs": pa.array(np.full(n, 20)),
        "worker": pa.array(rng.integers(0, 16, n)).cast(pa.string()), "ended": pa.array(np.zeros(n, bool)),
        "finished": pa.array(1.76e9 + np.sort(rng.random(n)) * 1e5), "loss": pa.array(rng.random(n)),
        "val_loss": pa.array(rng.random(n)), "config_batch_size": own["config_batch_size"],
        "config_layers": own["config_layers"],
    }  # fmt: skip
    epochs = _like("epochs", data.epochs, more)
    for number in range(files):
        part = epochs.slice(number * n // files, (number + 1) * n // files - number * n // files)
        where.create(layout.part(name, "epochs", layout.batch(1, "aaaaaa", number)), to_bytes(part))
    played = data.charges.to_pandas()
    parts = played["run"].str.split("/", expand=True)
    played["method"], played["run_seed"] = parts[0], parts[1].astype(int)
    charges = {
        "study": pa.array([name] * n),
        "method": pa.array(played["method"]),
        "seed": pa.array(played["run_seed"]),
    }
    where.create(layout.whole(name, "charges", 1), to_bytes(_like("charges", data.charges, charges)))
    trials_table, runs_table = _standing(name, played, data)
    where.replace(layout.snapshot(name, "trials"), to_bytes(trials_table))
    where.replace(layout.snapshot(name, "runs"), to_bytes(runs_table))
    head = {"schema": schema.VERSION, "digest": digest, "study": data.definition, "environment": {}}
    where.replace(layout.head(name), json.dumps(head).encode())
    return n


def _seeds(of: int, trials: int) -> Any:
    """The seed of each of so many trials: ten seeds of one method follow one another."""
    return np.arange(of) // trials % 10


def _named(data: StudyData, trials: int) -> tuple[StudyData, str]:
    """The study with trials named by their content, and its digest."""
    study = Study.model_validate({**data.definition, "methods": ["random"]})
    configs = [columns.config(row, data.definition["space"]) for row in data.trials.to_pylist()]
    names = pa.array([study.key(c, int(s), 20).id for c, s in zip(configs, _seeds(len(configs), trials), strict=True)])
    old = data.trials["trial"].combine_chunks()

    def renamed(table: pa.Table) -> pa.Table:
        found = names.take(pc.index_in(table["trial"].combine_chunks(), value_set=old))
        return table.set_column(table.column_names.index("trial"), "trial", found)

    tables = {table: renamed(getattr(data, table)) for table in ("epochs", "charges", "trials")}
    return replace(data, **tables), study.digest


def _standing(name: str, played: Any, data: StudyData) -> tuple[pa.Table, pa.Table]:
    """What the snapshots say in the end: each trial's best epoch, each run's incumbent."""
    best = played.loc[played.groupby("trial", sort=False)["value"].idxmax()].set_index("trial")
    best = best.loc[data.trials["trial"].to_pylist()]
    trials = data.trials.drop_columns(["best_value"])
    columns = {
        "run": "run",
        "method": "method",
        "seed": "run_seed",
        "number": "number",
        "best_epoch": "epoch",
        "best_value": "value",
    }
    more = {column: pa.array(best[source]) for column, source in columns.items()}
    trials = _like("trials", trials, {**more, "study": pa.array([name] * len(best))})
    winners = played.loc[played.groupby("run")["value"].idxmax()].set_index("run")
    cells = data.epochs.select(["trial", "seconds"]).to_pandas().groupby("trial")["seconds"].sum()
    took = (
        played.drop_duplicates("trial").set_index("trial")["run"].to_frame().join(cells).groupby("run")["seconds"].sum()
    )
    rows = [
        {**row, "study": name, "incumbent_trial": winners.loc[row["run"], "trial"],
         "incumbent_epoch": int(winners.loc[row["run"], "epoch"]), "incumbent_value": float(winners.loc[row["run"], "value"]),
         "train_seconds": float(took[row["run"]])}
        for row in data.runs.to_pylist()
    ]  # fmt: skip
    return trials, schema.to_table("runs", rows, {}, distinct=True)


def _like(name: str, table: pa.Table, more: dict[str, object]) -> pa.Table:
    """The table with more columns, in the store's order; what is still missing is null."""
    for column, values in more.items():
        table = table.append_column(column, values)
    wanted = schema.to_table(name, [], KINDS if name in ("epochs", "trials") else {}).schema
    extra = [column for column in table.column_names if column not in wanted.names]
    columns = {
        f.name: table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type)
        for f in wanted
    }
    whole = pa.table({**columns, **{column: table[column] for column in extra}})
    return whole.replace_schema_metadata(wanted.metadata)
