"""Learning curves with rungs, pauses and promotions, from a study's charges. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.results.anytime import Played, epoch_rows, of_epochs
from hpo.service.answers.runs import played
from hpo.service.problems import Problem
from hpo.store import StudyData
from hpo.store import columns as stored
from hpo.store.columns import PREFIX
from hpo.text import nearest, shown

Whole = NDArray[np.int64]

NO_METRICS = {"study", "trial", "seed", "max_epochs", "epoch", "seconds", "attempt", "worker", "ended", "finished"}


@dataclass(frozen=True)
class _Rows:
    """What is known of each trial of a run, by its number: the trial, its status, whether it won."""

    trial: dict[int, str]
    status: dict[int, str]
    incumbent: str | None


def metrics(data: StudyData) -> list[str]:
    """Returns the names of all metrics of an epoch, the study's first."""
    main = str(data.definition["metric"])
    names = [name for name in data.epochs.schema.names if name not in NO_METRICS and not name.startswith(PREFIX)]
    return [main, *(name for name in names if name != main)]


def curves(
    data: StudyData, limit: int, *, trials: Sequence[str] = (), run: str | None = None, metric: str | None = None
) -> dict[str, Any]:
    """Returns at most about `limit` learning curves, spread evenly over the trials; those of winners are kept.

    `trials`, `run`: only theirs. `metric`: default the study's. `data`: as its charges give it. Raises Problem 422.
    """
    known = metrics(data)
    if metric is not None and metric not in known:
        raise Problem(422, f"metric must be one of an epoch's, but got {shown(metric)}; {nearest(metric, known)}")
    runs, rows, rungs = played(data), _of_runs(data), _rungs(data)
    values = (
        None if metric in (None, known[0]) else of_epochs(data.epochs, metric, epoch_rows(data.charges, data.epochs))
    )
    wanted = [
        (name, number)
        for name in ([run] if run else runs)
        if name in runs
        for number in np.unique(runs[name].trial).tolist()
        if not trials or rows[name].trial.get(number) in trials
    ]
    found = []
    for name, numbers in _thinned(wanted, limit, rows).items():
        mine = runs[name]
        shown_values = mine.value if values is None else values[mine.rows]
        found += [
            {**one, "run": name, "rungs": [e for e in rungs.get(name.rpartition("/")[0], ()) if e <= one["epochs"][-1]]}
            for one in _of_run(mine, shown_values, numbers, rows[name])
        ]
    return {
        "study": data.name, "metric": metric or known[0], "metrics": known, "total": len(wanted), "curves": found,
    }  # fmt: skip


def _of_run(mine: Played, values: NDArray[np.float64], numbers: list[int], rows: _Rows) -> list[dict[str, Any]]:
    order = np.lexsort((mine.epoch, mine.trial))
    trial = mine.trial[order]
    found = []
    for number in numbers:
        places = order[np.searchsorted(trial, number) : np.searchsorted(trial, number, side="right")]
        epochs, after = mine.epoch[places], mine.after[places]
        resumed = epochs[:-1][np.diff(after) > 0].tolist()  # its next epoch was decided on by later results
        status = rows.status.get(number, "running")
        last = [int(epochs[-1])] if status == "paused" else []
        name = rows.trial.get(number, "")
        found.append(
            {
                "trial": name, "epochs": epochs.tolist(), "values": values[places].tolist(), "promotions": resumed,
                "pauses": [*resumed, *last], "status": status, "best": name == rows.incumbent,
            }
        )  # fmt: skip
    return found


def _of_runs(data: StudyData) -> dict[str, _Rows]:
    winners = dict(zip(data.runs["run"].to_pylist(), data.runs["incumbent_trial"].to_pylist(), strict=True))
    found: dict[str, _Rows] = defaultdict(lambda: _Rows({}, {}, None))
    columns = (data.trials[name].to_pylist() for name in ("run", "number", "trial", "status"))
    for run, number, trial, status in zip(*columns, strict=True):
        if run not in found:
            found[run] = _Rows({}, {}, winners.get(run))
        found[run].trial[number], found[run].status[number] = trial, status
    return found


def _rungs(data: StudyData) -> dict[str, list[int]]:
    """Returns the epochs, short of the last, at which each method left several trials: there its schedule compares them."""
    if not data.trials.num_rows:
        return {}
    ended = [status in ("paused", "stopped", "completed") for status in data.trials["status"].to_pylist()]
    epochs, method = stored.whole(data.trials, "epochs")[ended], np.array(data.trials["method"].to_pylist())[ended]
    found = {}
    for name in np.unique(method).tolist():
        stops, counts = np.unique(epochs[method == name], return_counts=True)
        furthest = stops.max(initial=0)
        found[str(name)] = stops[(counts > 1) & (stops > 0) & (stops < furthest)].tolist()
    return found


def _thinned(wanted: list[tuple[str, int]], limit: int, rows: dict[str, _Rows]) -> dict[str, list[int]]:
    """Returns the numbers of the chosen trials by run."""
    places = set(range(len(wanted)))
    if len(wanted) > limit:
        places = {round(i) for i in np.linspace(0, len(wanted) - 1, limit)}
    found: dict[str, list[int]] = defaultdict(list)
    for place, (run, number) in enumerate(wanted):
        won = rows[run].incumbent is not None and rows[run].trial.get(number) == rows[run].incumbent
        if place in places or won:
            found[run].append(number)
    return found
