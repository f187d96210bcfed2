"""Studies played without a cluster: results arrive in a drawn order, drivers are killed at drawn moments."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from without_ray import writing

from hpo.game.runs import epoch_cost, runs_of
from hpo.live.dispatch import Dispatch
from hpo.store.lease import Lease
from hpo.study.study import Study
from hpo.worker.training import Training

STUDY = """
study: drawn
trainable: curves
data: {{fail_share: {failing}, diverge_share: 0.1}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01, 0.03]}}
  optimizer: {{type: choice, values: [adam, sgd]}}
  finetuned_layers: {{type: int, low: 1, high: 6, grid: [1, 3]}}
  cost: {{type: choice, values: {costs}}}
budget: {{{budget}, max_epochs: {most}}}
methods: [{methods}]
seeds: {seeds}
parallelism: {parallelism}
clock: {clock}
{more}
"""


def written(
    folder: Path, methods: str, *, failing: float = 0.2, epochs: int = 24, most: int = 4, seeds: str = "[0]",
    parallelism: int = 3, clock: str = "virtual", more: str = "", cost: float | None = None,
) -> Study:  # fmt: skip
    """Returns a study of computed curves whose store lies in the folder."""
    path, budget = folder / "drawn.yaml", f"epochs: {epochs}" if cost is None else f"cost: {cost}"
    path.write_text(
        STUDY.format(failing=failing, budget=budget, most=most, methods=methods, seeds=seeds, parallelism=parallelism,
                     clock=clock, more=more, costs=[1.0, 2.5] if cost is None else [0.1, 0.35, 1.7])
    )  # fmt: skip
    return Study.load(path, store=str(folder / "store"))


class Slow:
    """A schedule that is played in a thread, and takes its time."""

    expensive = True

    def __init__(self, schedule: Any) -> None:
        self._schedule = schedule

    def __getattr__(self, name: str) -> Any:
        return getattr(self._schedule, name)

    def on_epoch(self, trial: int, epoch: int, value: float) -> Any:
        time.sleep(0.0005)
        return self._schedule.on_epoch(trial, epoch, value)


def opened(study: Study, slow: Sequence[str] = (), environment: dict[str, Any] | None = None) -> Dispatch:
    """Opens the study's store and recovers what it holds. `slow`: methods that think in threads."""
    writer = writing(study, environment)
    runs = runs_of(study, cost=epoch_cost(study))
    for run in runs:
        if run.key.method in slow:
            run.schedule = Slow(run.schedule)
    try:
        return Dispatch(study, runs, writer, f"{study.store}/{study.study}/checkpoints", ahead=4)
    except BaseException:
        writer.close(compact=False)
        raise


def play(dispatch: Dispatch, draw: random.Random, slots: int = 3, reports: int | None = None) -> bool:
    """Plays until the study is finished, or until so many reports have come in; returns whether it is finished."""
    trainings: list[Training] = []
    while not dispatch.finished:
        while len(trainings) < slots and (given := dispatch.next()) is not None:
            trainings.append(Training(given))
        if not trainings:
            assert dispatch.waiting, "nothing is under way, and the study is not finished"
            dispatch.think(0.1)
            continue
        if reports == 0:
            return False
        training = trainings.pop(draw.randrange(len(trainings)))
        report = training.step()
        dispatch.report(training.assignment, report, "here:1")
        if not report.done:
            trainings.append(training)
        reports = None if reports is None else reports - 1
    return True


def kill(dispatch: Dispatch) -> None:
    """Leaves a driver as a kill does: rows in the spool, and nothing closed. Its lease is free, as a dead process's is."""
    dispatch._thinking._threads.shutdown(wait=True)
    dispatch._tidying._over.set()
    dispatch.writer._delivery.stop()
    lease: Lease = dispatch.writer._lease
    lease.release()
