"""A replay from Python and from `hpo replay`: a study played over recorded curves. Reads the curves; writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hpo.api.results import Results
from hpo.api.study import Study
from hpo.replay.game import Replay, declared_cost
from hpo.replay.game import replay as played
from hpo.replay.weather import Weather
from hpo.study import study as studies
from hpo.study.amounts import EPOCHS

if TYPE_CHECKING:
    from hpo.replay.sources import RecordedFunction, RecordedTable
    from hpo.store import StudyData


@dataclass(frozen=True)
class Recorded:
    """The curves that answer a study: a `table` or function from elsewhere, or the `data` of a store. `warnings`: what they
    lack."""

    table: RecordedTable | RecordedFunction | None = None
    data: StudyData | None = None
    warnings: tuple[str, ...] = field(default=())


def recorded(curves: str | Path, study: studies.Study, task: str | None = None) -> Recorded:
    """Reads curves for a study: a store, a .npz, .csv or .parquet file, an Optuna storage, a Ray Tune folder, or a benchmark.

    `task`: which one to read, where they hold several. Refuses a study that `hpo check` refuses, but for what only training
    needs. Raises HpoError.
    """
    from hpo.live.validation import validate_to_replay
    from hpo.replay.sources import knows, load
    from hpo.replay.sources.store import from_store

    source = str(curves)
    if knows(source):
        validate_to_replay(study, table=True)
        table = load(source, study.space, study.metric, task, study.mode)
        return Recorded(table=table, warnings=tuple(table.notes))
    data = from_store(source, study)
    validate_to_replay(study, table=False)
    return Recorded(data=data, warnings=_unpriced(study, data))


def _unpriced(study: studies.Study, data: StudyData) -> tuple[str, ...]:
    """Returns a warning where the study was played with declared costs of epochs, and this machine lacks their code."""
    same = data.definition["trainable"] == study.trainable
    priced = data.charges["cost"].null_count < len(data.charges)
    if not (same and priced and study.budget.unit == EPOCHS and declared_cost(study) is None):
        return ()
    return (
        f"the code of {study.trainable} should be here, because it declares what an epoch costs, but is not; every epoch "
        "takes one tick here, and the methods may decide otherwise than in the store",
    )


class ReplayResults(Results):
    """The results of a replay; `answers` says in a sentence which curves answered."""

    def __init__(self, found: Replay, warnings: tuple[str, ...]) -> None:
        super().__init__(found.data)
        self.answers = found.answers.sentence()
        self._warnings = warnings

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each thing that the curves lack."""
        return self._warnings


def replay(
    study: Study | str | Path,
    curves: str | Path | Results,
    *,
    task: str | None = None,
    workers: int | None = None,
    budget: int | None = None,
    between: Literal["nearest", "surrogate"] = "nearest",
    times: Literal["declared", "recorded"] | None = None,
    weather: Weather | None = None,
) -> ReplayResults:
    """Plays a study over recorded curves, as `hpo replay` does: without a cluster and without training.

    `curves`: a store, a .npz, .csv or .parquet file, an Optuna storage, a Ray Tune folder, a benchmark as "NAME:PATH", or the
    results of a study.
    `task`: which one to read, where they hold several. `workers`, `budget`: virtual workers and epochs of each run (default:
    the study's). `between`: the curve for an unrecorded configuration. `times`: what an epoch takes. `weather`: stragglers,
    failures and preemptions. Raises HpoError where the curves cannot answer.
    """
    from hpo.store.recover import prior_observations

    wanted = study if isinstance(study, studies.Study) else Study.load(study)
    if isinstance(curves, Results):
        found = Recorded(data=curves.data, warnings=_unpriced(wanted, curves.data))
    else:
        found = recorded(curves, wanted, task)
    answered = played(
        wanted, table=found.table, data=found.data, workers=workers, budget=budget, weather=weather,
        prior=prior_observations(wanted), between=between, times=times,
    )  # fmt: skip
    return ReplayResults(answered, found.warnings)
