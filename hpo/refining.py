"""`hpo refine`: the winner of a stored study and its one-at-a-time neighbours, trained beside each other (paper 003)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo import refine, session
from hpo import store as stores
from hpo.importance import Importance, importance
from hpo.store import StudyData
from hpo.study import Study

LABEL = "refine"


def play(
    uri: str,
    name: str | None,
    *,
    method: str | None,
    points: int,
    seeds: Sequence[int],
    folds: int | None,
    folder: Path,
    address: str | None,
    workers: int | None,
    quiet: bool,
    command: str,
) -> refine.Refinement:
    """Trains the plan as a study of its own in the same store, NAME-refine, and says whether a gain is real.

    `folder`: where relative paths of the study start. Raises what reading, planning and running raise.
    """
    data = stores.read(uri, name)
    found = importance(data, pairs=False, seed=0)
    plan = refine.plan(data, found, method=method, points=points)
    if doubts := doubt(found, plan):
        print(doubts, file=sys.stderr)
    study = Study.model_validate({**_values(data, plan, seeds, folds, uri), "folder": folder})
    session.play(study, address=address, workers=workers, quiet=quiet, command=command)
    return refine.from_study(stores.read(uri, study.study), plan.config)


def doubt(found: Importance, plan: refine.RefinePlan) -> str:
    """What to know where the hyperparameters that are changed were a guess; empty where they were not."""
    if found.decided:
        return ""
    return (
        f"note: the trials of {found.study} do not tell which hyperparameters matter most and least (the surrogate explains "
        f"{100 * max(0.0, found.fit):.0f} % of the variance of unseen ones): {plan.most} and {plan.least} are a guess"
    )


def _values(
    data: StudyData, plan: refine.RefinePlan, seeds: Sequence[int], folds: int | None, uri: str
) -> Mapping[str, Any]:
    """The study file of the refinement: the same task and space; its start configurations are all there is to train."""
    known = dict(data.definition)
    configs = [dict(config) for config in plan.configs]
    longest = known["budget"]["max_epochs"]
    section = {**known.get("data", {}), **({"folds": folds} if folds else {})}
    charge = int(section.get("folds") or 1)
    name = "-".join([data.name, LABEL, *([plan.method] if plan.method else []), *([f"k{folds}"] if folds else [])])
    return {
        **known,
        "study": name,
        "data": section,
        "budget": {"epochs": len(configs) * longest * charge, "max_epochs": longest},
        "methods": [{"random": {"label": LABEL}}],
        "seeds": list(seeds),
        "start": configs,
        "clock": "virtual",
        "store": uri,
        "final": {"retrain": "none"},
        "prior": None,
    }


def text(found: refine.Refinement) -> str:
    """The refinement as a plain table under its verdict."""
    rows = [("change", "from", f"mean {found.metric}", "gain", "95 % interval", "pairs", "p adjusted", "verdict")]
    for change in found.changes:
        low, high = change.ci95 if change.ci95 else (None, None)
        interval = "-" if low is None or high is None else f"{low:.4f} to {high:.4f}"
        before = str(found.config.get(change.name, "-"))
        rows.append(
            (f"{change.name}={change.value}", before, f"{change.mean:.4f}", f"{change.gain:+.4f}", interval,
             str(change.pairs), f"{change.p_adjusted:.3f}", change.verdict)
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([found.verdict, "", f"winner: {dict(found.config)}, mean {found.mean:.4f}", *lines])
