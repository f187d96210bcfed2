"""The service's routes and what they answer: from hpo.service and a recorded study. Reads that study; asks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.routing import Route

from docs.from_code.tables import code, same_names, table
from hpo import store
from hpo.service import server, views

RECORDED = (str(Path(__file__).parents[2] / "tests/recorded_stores/digits.tar.gz"), "digits")

ROUTES = {
    "/": ("", "page", "The studies of the store."),
    "/studies/{study}": ("", "page", "The live page of a study."),
    "/studies/{study}/report": ("", "page", "Its report, as `hpo compare STORE --format html` writes it."),
    "/api/studies": ("", "JSON", '`{"studies": [{"study": NAME, "url": PATH}]}`'),
    "/api/studies/{study}": ("", "JSON", "How far the study is, see [below](#how-far-a-study-is)."),
    "/api/studies/{study}/runs": (
        "",
        "JSON",
        '`{"study": NAME, "runs": [...], "trials": [...]}`: the rows of the store\'s tables '
        "[runs](store.md#runs) and [trials](store.md#trials).",
    ),
    "/api/studies/{study}/curves": (
        f"`trial`: only this one; `limit`: the most trials, {server.CURVES} by default",
        "JSON",
        '`{"study": NAME, "curves": {TRIAL: {"epoch": [...], METRIC: [...], ...}}}`: a value for each trained epoch.',
    ),
    "/api/studies/{study}/comparison": ("", "JSON", "As `hpo compare STORE --format json` prints it."),
    "/api/studies/{study}/events": (
        "",
        "server-sent events",
        "The answer of `/api/studies/{study}` whenever it changes; an event `trouble` where the store does not answer.",
    ),
    "/pages/{name}": ("", "file", "The pages' script and style sheet: `live.js`, `service.css`."),
}
"""Path -> its query parameters, the kind of its answer, what the answer is."""

STATE = {
    "study": "Name of the study.",
    "metric": "What its methods optimize.",
    "mode": "`max` or `min`.",
    "budget_epochs": "The budget of a run in epochs; null where it is in cost.",
    "budget_cost": "The budget of a run in cost; null where it is in epochs.",
    "runs": "One for each method and seed, with the keys of the next table, whether it has begun or not.",
    "failures": f"The last {views.FAILURES} rows of the store's table [failures](store.md#failures).",
    "failed": "Number of failed trials.",
    "failure": "Why the study as a whole has no result; null where it has one.",
    "failed_exams": "Why a final exam failed; null where none did.",
    "trained_epochs": "Epochs trained, without those trained again after a fault.",
    "occupancy": "`slots`, `busy`, `starting`, `waiting`: numbers of the driver's slots; null where no driver plays the study.",
    "updated": "When the last epoch ended, in seconds since 1970; null before the first.",
}

RUN = {
    "run": "METHOD/SEED.",
    "method": "Name of the method.",
    "seed": "Seed of the run.",
    "status": "`waiting` before its first epoch, then `partial`, at last `complete`.",
    "reason": "Why the run ended before its budget; null where it did not.",
    "budget_epochs": "Its budget in epochs, or null.",
    "budget_cost": "Its budget in cost, or null.",
    "charged_cost": "Cost that it has been charged; null where the budget is in epochs.",
    "charged_epochs": "Epochs that it has been charged.",
    "wasted_epochs": "Epochs trained again after a fault, never charged.",
    "best": "Best value so far; null before the first epoch.",
    "trials": "Number of trials by status.",
    "anytime": "`[charged_epochs, value]` wherever the best value so far changes.",
    "anytime_cost": "The same over charged cost; empty where the budget is in epochs.",
}


def routes() -> str:
    """Returns the table of routes."""
    known = [route.path for route in server.application("").routes if isinstance(route, Route)]
    same_names("routes of the service", ROUTES, known)
    rows = [(code(path), *ROUTES[path]) for path in known]
    return table(("GET", "query parameters", "answers with", "what"), rows)


def progress() -> str:
    """Returns the tables of keys of a study's state and of a run in it."""
    state = views.progress(store.read(*RECORDED))
    parts = [_keys("of a study's state", state, STATE), "### Its runs", _keys("of a run", state["runs"][0], RUN)]
    return "\n\n".join(parts)


def _keys(kind: str, answer: dict[str, Any], meanings: dict[str, str]) -> str:
    same_names(f"keys {kind}", meanings, answer)
    return table(("key", "meaning"), [(code(key), meanings[key]) for key in answer])
