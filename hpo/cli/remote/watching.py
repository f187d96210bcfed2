"""A study of the service as it runs, shown as `hpo run` shows one of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.cli.options import errors
from hpo.live.display.moment import Moment, Tally
from hpo.live.display.outlets import outlet
from hpo.live.occupancy import Occupancy

if TYPE_CHECKING:
    from hpo.client import Standing

TRAINING = ("running", "complete")  # the states of which moments are shown; others are told by their sentence


def show(standings: Iterable[Standing], *, quiet: bool, plain: bool) -> Standing:
    """Shows how a study goes on stderr until it is over, and returns how it stands then."""
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    shown, began = outlet(console, quiet=quiet, plain=plain), time.monotonic()
    last: Standing | None = None
    moment: Moment | None = None
    before = 0  # epochs that were trained when the watch began
    try:
        for standing in standings:
            if last is None:
                before = int(standing.facts["physical"]["trained_epochs"])
            if standing.word not in TRAINING and (last is None or last.word != standing.word) and not quiet:
                errors.print(f"{standing.study}: {standing.sentence or standing.word}")
            last = standing
            if standing.word in TRAINING:
                moment = moment_of(standing.facts, time.monotonic() - began, before)
                shown.show(moment)
    finally:
        if moment is not None:
            with suppress(BrokenPipeError):
                shown.end(moment)
    assert last is not None
    return last


def moment_of(facts: Mapping[str, Any], elapsed: float, before: int) -> Moment:
    """Returns what the display shows of a study, by the service's answer; `before`: epochs trained before this watch."""
    physical, budget, slots = facts["physical"], facts["budget"], facts["occupancy"]
    return Moment(
        study=facts["study"],
        metric=facts["metric"],
        unit=budget["unit"],
        elapsed=elapsed,
        left=physical["seconds_left"],
        share=facts["progress"],
        charged=budget["charged"],
        budget=budget["total"] or 0.0,
        stored=before,
        trained=max(0, physical["trained_epochs"] - before),
        rate=physical["epochs_per_second"],
        occupancy=None if slots is None else Occupancy(**slots),
        exams=(0, 0),
        tallies=tuple(_tallies(facts)),
        promotions=(),
        incidents=(),
        met=0,
        failed=facts["failed_trials"],
        trouble="",
    )


def _tallies(facts: Mapping[str, Any]) -> Iterable[Tally]:
    """Yields how each method stands."""
    best, unit = max if facts["mode"] == "max" else min, facts["budget"]["unit"]
    for method in facts["methods"]:
        runs = [run for run in facts["run_list"] if run["method"] == method]
        values = [run["best"] for run in runs if run["best"] is not None]
        trials = {word: sum(run["trials"].get(word, 0) for run in runs) for word in ("running", "paused", "failed")}
        yield Tally(
            method=method,
            runs=len(runs),
            over=sum(run["status"] == "complete" for run in runs),
            charged=sum(run[f"charged_{unit}"] or 0 for run in runs),
            budget=sum(run[f"budget_{unit}"] or 0 for run in runs),
            best=best(values, default=None),
            mean=fmean(values) if values and len(values) == len(runs) else None,
            running=trials["running"],
            paused=trials["paused"],
            failed=trials["failed"],
        )
