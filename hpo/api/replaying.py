"""A replay from Python and from `hpo replay`: studies and suites played over recorded curves. Writes the store it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from hpo import store as stores
from hpo.api.results import Results
from hpo.api.study import Study
from hpo.api.suite import Suite, SuiteResults, stored
from hpo.errors import HpoError
from hpo.replay.answers import Between
from hpo.replay.game import Game, Times, declared_cost, sized
from hpo.replay.weather import Weather
from hpo.store.recover import prior_observations
from hpo.study import study as studies
from hpo.study import suite as suites
from hpo.study.amounts import EPOCHS
from hpo.study.yaml_file import Document

if TYPE_CHECKING:
    from hpo.replay.sources import RecordedFunction, RecordedTable
    from hpo.store import StudyData

ALL = "all"  # as `tasks`: every task that the curves or the suite have

Space = Literal["from-table"]


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
        return Recorded(table=table, warnings=(*table.notes, *_short(study, table)))
    data = from_store(source, study, task)
    validate_to_replay(study, table=False)
    return Recorded(data=data, warnings=_unpriced(study, data))


def _short(study: studies.Study, table: RecordedTable | RecordedFunction) -> tuple[str, ...]:
    """Returns a warning where curves of a pool's candidates just end before a trial does."""
    from hpo.replay.sources import RecordedTable

    if not isinstance(table, RecordedTable):
        return ()
    short = int(((table.known < study.budget.max_epochs) & ~table.failed).sum()) if study.space.pool is not None else 0
    if not short:
        return ()
    return (
        f"{short} of the {len(table.configs)} recorded curves end before epoch {study.budget.max_epochs} and did not fail: "
        "their trainings count as ended there",
    )


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


# -- what is to be played -------------------------------------------------------------------------------------------


def to_replay(
    source: str | Path, curves: str, *, task: str | None = None, tasks: Sequence[str] | None = None,
    apart: bool = False, space: Space | None = None, kind: type[suites.S], **changes: Any,
) -> suites.S | suites.Suite[suites.S]:  # fmt: skip
    """Loads the study, or the suite, that recorded curves are to answer.

    `task`: the one to read, for a study alone, or of a suite. `tasks`: those of a suite, or of the curves; all of them if it
    is `all`. `apart`: a study that is played for a task is named after it, so that a store may hold others beside. `space`:
    `from-table` for the recorded configurations as candidates. `changes`: as for `Study.load`. Raises HpoError.
    """
    from hpo.replay.sources import CurvesError, knows
    from hpo.replay.table_space import spaces_of

    if space is not None and not knows(curves):
        raise CurvesError(
            f"--space {space} needs a file of recorded curves, but {curves} is none; a store has its own space"
        )
    spaces = spaces_of(curves, wanted=space is not None, task=task) if knows(curves) else None
    if task is not None and _is_for(source, apart):
        tasks = [task]
    return suites.load(source, kind=kind, tasks=_named(source, curves, tasks), spaces=spaces, **changes)


def _is_for(source: str | Path, apart: bool) -> bool:
    """Whether a study file is a suite's, of which one task is played, or is to be made one for a task."""
    values = Document(studies.find(source)[0]).values
    return values.get("tasks") is not None or (apart and values.get("suite") is None)


def _named(source: str | Path, curves: str, tasks: Sequence[str] | None) -> Sequence[str] | None:
    """Returns the tasks that are meant; `all` means those of the suite's file, and else of the curves."""
    from hpo.replay.sources import CurvesError, knows
    from hpo.replay.sources import tasks_of as recorded_tasks

    if tasks is None or list(tasks) != [ALL]:
        return tasks
    if Document(studies.find(source)[0]).values.get("tasks") is not None:
        return None
    found = recorded_tasks(curves) if knows(curves) else stores.studies(curves)
    if not found:
        raise CurvesError(f"--tasks all needs curves of several tasks, but {curves} names none; leave --tasks out")
    return found


@dataclass(frozen=True)
class Playing:
    """What is played: a game for each study, and a sentence for each thing that the curves lack."""

    games: tuple[Game, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls, found: studies.Study | suites.Suite[Any], read: Callable[[studies.Study, str | None], Recorded], *,
        between: Between = "nearest", times: Times | None = None, weather: Weather | None = None, task: str | None = None,
    ) -> Playing:  # fmt: skip
        """Returns the games of a study or of a suite; `read` gives the curves for a study and its task.

        `task`: the one of the curves that a study alone is played for.
        """
        games: list[Game] = []
        warnings: list[str] = []
        several = isinstance(found, suites.Suite)
        for own, study in found.tasks.items() if isinstance(found, suites.Suite) else [(task, found)]:
            curves = read(study, own)
            prior = prior_observations(study)
            games.append(Game(study, curves.table, curves.data, prior, between, times, weather or Weather(), own))
            warnings += [f"{own}: {warning}" for warning in curves.warnings] if several else curves.warnings
        return cls(tuple(games), tuple(warnings))


class ReplayResults(Results):
    """The results of a replay; `answers` says in a sentence which curves answered."""

    def __init__(self, data: StudyData, answers: str, warnings: tuple[str, ...], store: str | None = None) -> None:
        super().__init__(data, store)
        self.answers = answers
        self._warnings = warnings

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each thing that the curves lack."""
        return self._warnings


@overload
def replay(
    study: Study | str | Path, curves: str | Path | Results, *, task: str | None = None, tasks: None = None,
    space: Space | None = None, workers: int | None = None, budget: int | None = None, between: Between = "nearest",
    times: Times | None = None, weather: Weather | None = None, store: str | Path | None = None, processes: int = 1,
) -> ReplayResults: ...  # fmt: skip


@overload
def replay(
    study: str | Path, curves: str | Path, *, tasks: Sequence[str] | Literal["all"], space: Space | None = None,
    workers: int | None = None, budget: int | None = None, between: Between = "nearest", times: Times | None = None,
    weather: Weather | None = None, store: str | Path | None = None, processes: int = 1,
) -> SuiteResults: ...  # fmt: skip


@overload
def replay(
    study: Suite, curves: str | Path | Mapping[str, Results], *, workers: int | None = None, budget: int | None = None,
    between: Between = "nearest", times: Times | None = None, weather: Weather | None = None,
    store: str | Path | None = None, processes: int = 1,
) -> SuiteResults: ...  # fmt: skip


def replay(
    study: Study | Suite | str | Path,
    curves: str | Path | Results | Mapping[str, Results],
    *,
    task: str | None = None,
    tasks: Sequence[str] | Literal["all"] | None = None,
    space: Literal["from-table"] | None = None,
    workers: int | None = None,
    budget: int | None = None,
    between: Literal["nearest", "surrogate"] = "nearest",
    times: Literal["declared", "recorded"] | None = None,
    weather: Weather | None = None,
    store: str | Path | None = None,
    processes: int = 1,
) -> ReplayResults | SuiteResults:
    """Plays a study or a suite over recorded curves, as `hpo replay` does: without a cluster and without training.

    `curves`: a store, a .npz, .csv or .parquet file, an Optuna storage, a Ray Tune folder, a benchmark as "NAME:PATH", or the
    results of a study or of a suite. `task`: which one to read, where they hold several; each study of a suite reads its own.
    `tasks`: those that a study file is played for, as a suite: names, or "all" that the curves have. `space`: "from-table" for
    the recorded configurations as candidates, for a study file. `workers`, `budget`: virtual workers and epochs of each run
    (default: the study's). `between`: the curve for an unrecorded configuration. `times`: what an epoch takes. `weather`:
    stragglers, failures and preemptions. `store`: writes the results there, as of a live study; what it holds is not played
    again. `processes`: how many play side by side, which changes no result; a script that asks for several needs the usual
    `if __name__ == "__main__"`. Raises HpoError where the curves cannot answer.
    """
    named = [tasks] if isinstance(tasks, str) else tasks
    wanted = _wanted(study, curves, task=task, tasks=named, space=space, apart=store is not None)
    if isinstance(wanted, Suite):
        wanted = Suite.of(wanted.each(lambda one: sized(one, workers, budget)))
    else:
        wanted = sized(wanted, workers, budget)
    playing = Playing.of(wanted, _reader(curves), between=between, times=times, weather=weather, task=task)
    return _in_memory(wanted, playing, processes) if store is None else _stored(wanted, playing, str(store), processes)


def _in_memory(wanted: Study | Suite, playing: Playing, processes: int) -> ReplayResults | SuiteResults:
    from hpo.replay.players import whole

    data, answers = whole(playing.games, processes)
    if isinstance(wanted, Suite):
        return SuiteResults(wanted.name, {one.name: Results(one) for one in data})
    return ReplayResults(data[0], answers.sentence(), playing.warnings)


def _stored(wanted: Study | Suite, playing: Playing, store: str, processes: int) -> ReplayResults | SuiteResults:
    said = record_games(playing, store, processes, f"hpo.replay(study, curves, store={store!r})")
    if isinstance(wanted, Suite):
        return stored(wanted, store)
    return ReplayResults(stores.read(store, wanted.study), said[0], playing.warnings, store)


def record_games(
    playing: Playing, store: str, processes: int, command: str, tell: Callable[[str], None] = lambda said: None
) -> list[str]:
    """Plays into a store what it lacks, see `record`; returns a sentence for each game."""
    from hpo.replay.recording import record

    return record(playing.games, store, processes=processes, command=command, tell=tell)


def _wanted(study: Study | Suite | str | Path, curves: Any, **options: Any) -> Study | Suite:
    """Returns what is to be played: a study file with the options of `to_replay`, or what was given."""
    if isinstance(study, str | Path) and isinstance(curves, str | Path):
        found = to_replay(study, str(curves), kind=Study, **options)
        return Suite.of(found) if isinstance(found, suites.Suite) else found
    if options["tasks"] is not None or options["space"] is not None:
        raise HpoError(
            "tasks and space need a study file and a file of curves, but got values; give the file, or make a hpo.Suite"
        )
    return Study.load(study) if isinstance(study, str | Path) else study


def _reader(curves: Any) -> Callable[[studies.Study, str | None], Recorded]:
    """Returns what gives the curves for a study and its task."""

    def read(study: studies.Study, own: str | None) -> Recorded:
        if isinstance(curves, str | Path):
            return recorded(curves, study, own)
        found = curves if isinstance(curves, Results) else curves[study.study]
        return Recorded(data=found.data, warnings=_unpriced(study, found.data))

    return read
