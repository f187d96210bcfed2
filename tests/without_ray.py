"""A study's dispatch without a cluster: its store opened, its assignments trained in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.game.runs import runs_of
from hpo.live.dispatch import Dispatch
from hpo.store import StudyWriter
from hpo.study.study import Study
from hpo.worker.training import Assignment, Training


def writing(study: Study, environment: dict[str, Any] | None = None) -> StudyWriter:
    """Opens the study's store."""
    return StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest,
        environment=environment or {}, space_kinds=study.kinds,
    )  # fmt: skip


def dispatching(study: Study, ahead: int = 8, environment: dict[str, Any] | None = None) -> Dispatch:
    """Opens the study's store and recovers what it holds; checkpoints lie beside the store."""
    checkpoints = Path(study.store).parent / "checkpoints"
    return Dispatch(study, runs_of(study), writing(study, environment), str(checkpoints), ahead)


def train(dispatch: Dispatch, given: Assignment) -> list[dict[str, Any]]:
    """Trains an assignment to its end; returns the rows that its worker reported."""
    training, records = Training(given), []
    while given.trial in dispatch.live:
        report = training.step()
        records += report.records
        dispatch.report(given, report, "here:1")
    return records


def play_to_the_end(dispatch: Dispatch) -> list[dict[str, Any]]:
    """Trains one assignment after the other until the study is finished, and closes it; returns what was reported."""
    records = []
    while not dispatch.finished:
        given = dispatch.next()
        if given is None and dispatch.waiting:
            dispatch.think(1.0)
            continue
        assert given is not None
        records += train(dispatch, given)
    dispatch.finish(complete=True)
    return records
