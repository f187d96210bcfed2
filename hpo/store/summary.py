"""A study in a few numbers, as a list of studies shows it: what its writer keeps in a small file beside the tables. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.store import signs as reading
from hpo.store.agreement import REPLAY
from hpo.store.columns import numbers
from hpo.store.reader import StudyData
from hpo.store.state import PLAYED, Signs, State
from hpo.text import plain

VERSION = 1


@dataclass(frozen=True)
class Best:
    """The best value of a study's metric: the method and the trial that gave it."""

    method: str
    value: float
    trial: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a study's writer keeps of it, apart from the signs of its state.

    task: what is trained, in words. methods: labels. seeds, runs: how many. unit: "epochs" or "cost", in which a_run (the
    budget of a run), total (of all runs) and charged count. progress: 0..1, of the budget; a run that ended early counts
    as whole. failed_trials: different ones. began, updated (the last result), sign_of_life (the driver's): unix seconds.
    trained_epochs: without those trained again. figures: what its driver told last: see hpo.live.monitor.Figures.
    """

    study: str
    suite: str | None = None
    owner: str | None = None
    priority: float = 1.0
    task: str = ""
    trainable: str = ""
    metric: str = ""
    mode: str = ""
    methods: tuple[str, ...] = ()
    seeds: int = 0
    runs: int = 0
    runs_complete: int = 0
    unit: str = "epochs"
    a_run: float | None = None
    total: float | None = None
    charged: float = 0
    progress: float = 0.0
    best: Best | None = None
    failed_trials: int = 0
    trained_epochs: int = 0
    began: float | None = None
    updated: float | None = None
    sign_of_life: float | None = None
    figures: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Returns the facts in a file. Raises TypeError, KeyError for others."""
        best = found.get("best")
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in found.items() if name in known}
        return cls(**{**values, "methods": tuple(found["methods"]), "best": Best(**best) if best else None})


@dataclass(frozen=True, kw_only=True)
class Summary(Facts):
    """A study in a few numbers, its state at this moment, and what was noted beside it.

    archived: lists leave it out. verdict: at most five words, None where nobody has told it of the results as they are.
    tag: changes with the files that this was made of.
    """

    state: State
    archived: bool = False
    verdict: str | None = None
    tag: str = ""

    @classmethod
    def of(cls, facts: Facts, state: State, *, archived: bool, verdict: str | None, tag: str = "") -> Self:
        """Joins a study's facts with its state and the notes."""
        values = {one.name: getattr(facts, one.name) for one in fields(Facts)}
        return cls(**values, state=state, archived=archived, verdict=verdict, tag=tag)

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as the API shows it."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("figures", "tag", "unit", "a_run", "total", "charged"):
            del found[name]
        budget = {"unit": self.unit, "a_run": self.a_run, "total": self.total, "charged": self.charged}
        best = None if self.best is None else asdict(self.best)
        told = self.figures or {} if self.state.word in PLAYED else {}
        left = {name: told.get(name) for name in ("left_epochs", "seconds_left")}
        answer: dict[str, Any] = plain({**found, **left, "state": self.state.to_json(), "budget": budget, "best": best})
        return answer


# -- the file -----------------------------------------------------------------------------------------------------


def to_bytes(facts: Facts, signs: Signs) -> bytes:
    """Returns the content of a study's file: the signs of its state, not the state, which changes by itself."""
    return json.dumps(plain({"version": VERSION, "facts": asdict(facts), "signs": asdict(signs)})).encode()


def from_bytes(content: bytes | None) -> tuple[Facts, Signs] | None:
    """Returns what a study's file holds; None where there is none, or where it is of another version or broken."""
    try:
        found = json.loads(content or b"")
        if found["version"] != VERSION:
            return None
        known = {one.name for one in fields(Signs)}
        signs = Signs(**{name: value for name, value in found["signs"].items() if name in known})
        return Facts.from_json(found["facts"]), signs
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


# -- what is known of a study ---------------------------------------------------------------------------------------


def planned(study: str, definition: Mapping[str, Any]) -> Facts:
    """Returns what a study's definition tells."""
    methods = tuple(str(method["label"]) for method in definition.get("methods", ()))
    seeds, budget = definition.get("seeds", ()), definition.get("budget") or {}
    unit = "cost" if budget.get("cost") is not None else "epochs"
    a_run, runs = budget.get(unit), len(methods) * len(seeds)
    return Facts(
        study=study, suite=definition.get("suite"), task=_task(definition), trainable=str(definition.get("trainable", "")),
        metric=str(definition.get("metric", "")), mode=str(definition.get("mode", "")), methods=methods, seeds=len(seeds),
        runs=runs, unit=unit, a_run=a_run, total=None if a_run is None else a_run * runs,
    )  # fmt: skip


def _task(definition: Mapping[str, Any]) -> str:
    """Returns what a study trains on which data, as far as these have names."""
    parts = [part.get("name") for part in (definition.get("model") or {}, definition.get("data") or {})]
    named = [str(name) for name in parts if name]
    return " on ".join(named) or str(definition.get("trainable", "")).rpartition(":")[2]


def standing(definition: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns how far the study's runs have come, from rows of the table `runs`; those of other runs do not count."""
    labels = {method["label"] for method in definition.get("methods", ())}
    seeds = set(definition.get("seeds", ()))
    mine = [row for row in rows if not labels or (row["method"] in labels and row["seed"] in seeds)]
    budget = definition.get("budget") or {}
    cost = budget.get("cost") is not None
    a_run, name = budget.get("cost" if cost else "epochs"), "charged_cost" if cost else "charged_epochs"
    charged = [float(row.get(name) or 0) for row in mine]
    over = [row.get("status") == "complete" for row in mine]
    done = sum(
        1.0 if ended else min(1.0, spent / a_run) if a_run else 0.0 for ended, spent in zip(over, charged, strict=True)
    )
    of_all = max(len(mine), len(labels) * len(seeds))
    return {
        "charged": sum(charged) if cost else int(sum(charged)),
        "runs_complete": sum(over),
        "progress": done / of_all if of_all else 0.0,
        "best": _best(mine, str(definition.get("mode", "max"))),
    }


def _best(rows: Iterable[Mapping[str, Any]], mode: str) -> Best | None:
    known = [row for row in rows if row.get("incumbent_value") is not None]
    if not known:
        return None
    best = (max if mode == "max" else min)(known, key=lambda row: float(row["incumbent_value"]))
    return Best(str(best["method"]), float(best["incumbent_value"]), str(best["incumbent_trial"]))


# -- from its tables ----------------------------------------------------------------------------------------------


def facts(data: StudyData, signs: Signs) -> Facts:
    """Returns a study's facts from its tables, charges before the last snapshot of the runs."""
    first = data.epochs.num_rows and REPLAY not in data.environment
    began = np.nanmin(numbers(data.epochs, "finished")) if first else signs.began
    trained = int(np.sum(numbers(data.epochs, "attempt") == 0)) if data.epochs.num_rows else 0
    known: dict[str, Any] = {
        **asdict(planned(data.name, data.definition)),
        **standing(data.definition, _runs(data)),
        "failed_trials": len(failed(data)),
        "trained_epochs": trained,
        "began": None if began is None else float(began),
        "updated": reading.latest(data) or signs.last,
        "sign_of_life": signs.last,
    }
    return Facts(**known)


def failed(data: StudyData) -> set[str]:
    """Returns the trials that failed, in training or as a run saw it."""
    marked = data.trials.filter(pc.equal(data.trials["status"], "failed"))
    return {trial for table in (marked, data.run_failures, data.failures) for trial in table["trial"].to_pylist()}


def _runs(data: StudyData) -> list[dict[str, Any]]:
    """Returns the rows of the runs, with what their charges tell where the snapshot is older."""
    rows = {row["run"]: row for row in data.runs.to_pylist()}
    if not data.charges.num_rows:
        return list(rows.values())
    folds = int((data.definition.get("data") or {}).get("folds") or 1)
    counted = data.charges.group_by("run").aggregate([("run", "count"), ("cost", "sum")]).to_pylist()
    for found in counted:
        run = found["run"]
        method, _, seed = run.rpartition("/")
        old = rows.get(run, {})
        if old.get("charged_epochs") == found["run_count"] * folds:
            continue
        mine = data.charges.filter(pc.equal(data.charges["run"], run))
        rows[run] = {
            "run": run, "method": method, "seed": int(seed), "status": "partial", **old,
            "charged_epochs": found["run_count"] * folds, "charged_cost": found["cost_sum"],
            **_incumbent(mine, data.definition["mode"]),
        }  # fmt: skip
    return list(rows.values())


def _incumbent(charges: pa.Table, mode: str) -> dict[str, Any]:
    """Returns the columns of a run's best charge; nothing where none has a value."""
    value = numbers(charges, "value") * (1.0 if mode == "max" else -1.0)
    known = np.where(np.isfinite(value), value, -np.inf)
    place = int(np.argmax(known))
    if not np.isfinite(known[place]):
        return {}
    return {"incumbent_trial": charges["trial"][place].as_py(), "incumbent_value": charges["value"][place].as_py()}
