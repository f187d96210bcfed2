"""Whether a study can be played at all: what `hpo check`, `run`, `submit`, `refine` and `replay` refuse alike.

Reads the study's store, its prior, what its trainable looks at, and names on S3; writes nothing and asks for no cluster.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hpo.errors import HpoError
from hpo.game.runs import check_prices, schedule_of
from hpo.live import code
from hpo.storage.errors import StorageError, Unreachable
from hpo.store import StudyWriter
from hpo.store.recover import prior_observations
from hpo.study import environment
from hpo.study.messages import Located
from hpo.study.study import OURS, Study
from hpo.text import meant, one_line, shown
from trainables import DECLARED, declarations
from trainables.errors import BadStudy, BadTrainable, NotHere
from trainables.task import Task

METHODS = ("train_epoch", "save", "load", "test")  # what a trainable must have


def validate(study: Study, *, elsewhere: bool = False) -> None:
    """Raises StudyError, with the place in the study file, or StoreError for a study that could not be played.

    Raises Unreachable where S3 does not answer, which says nothing about the study.

    `elsewhere`: it trains on other machines, so that data and weights may be missing on this one.
    """
    _parts(study)
    code.recover(study)
    prior = prior_observations(study)
    if study.trainable in DECLARED:
        environment.check_torch()
    for method in study.methods:
        schedule_of(study, method, study.seeds[0], prior)
    _trainable(study, elsewhere)
    check_prices(study)
    if not elsewhere:
        _remote(study)
    StudyWriter.check(study.store, study=study.study, definition=study.definition, digest=study.digest)


def validate_to_submit(study: Study) -> None:
    """Like `validate`, for a machine that plays no part in the study: it may lack its store, its prior and its code."""
    _parts(study)
    for method in study.methods:
        schedule_of(study, method, study.seeds[0])
    _trainable_elsewhere(study)


def validate_for_cluster(study: Study, *, imports: bool) -> None:
    """Like `validate`, for a machine that has the store, while the data, the weights and perhaps the code are elsewhere.

    `imports`: whether what the study names may be imported here, because it is known to be no stranger's code.
    """
    _parts(study)
    prior = prior_observations(study)
    for method in study.methods:
        if imports or ":" not in method.name:
            schedule_of(study, method, study.seeds[0], prior)
    if imports:
        _trainable_elsewhere(study)
        check_prices(study)
    StudyWriter.check(study.store, study=study.study, definition=study.definition, digest=study.digest)


def validate_to_replay(study: Study, *, table: bool) -> None:
    """Like `validate`, for a study that recorded curves answer: this machine may lack its data, its weights and its code.

    `table`: the curves are a table from elsewhere, whose columns are the metrics that there are; else they are a store's.
    """
    _parts(study)
    prior = prior_observations(study)
    for method in study.methods:
        schedule_of(study, method, study.seeds[0], prior)
    _trainable_elsewhere(study, metrics=not table)
    check_prices(study)


def _parts(study: Study) -> None:
    try:
        study.validate_parts()
    except Located as error:
        raise study.error(error.location, str(error)) from None


def _trainable_elsewhere(study: Study, metrics: bool = True) -> None:
    """Like `_trainable`, where others' code may be missing; a name of ours must be right everywhere."""
    try:
        declarations(study.trainable)
    except BadTrainable:
        if ":" in study.trainable:
            return
    _trainable(study, elsewhere=True, metrics=metrics)


def _trainable(study: Study, elsewhere: bool, metrics: bool = True) -> None:
    """Raises StudyError if the trainable is none, lacks the study's metrics, or refuses the study by its `check`.

    `metrics`: whether the study's metrics must be those that the trainable reports.
    """
    try:
        kind = declarations(study.trainable)
    except BadTrainable as error:
        raise study.error(("trainable",), str(error)) from None
    if study.trainable not in DECLARED:
        _shape(study, kind)
    task = Task.from_json(study.located())
    try:
        names = _declared(study, kind, "metrics", task) if metrics else None
    except NotHere:
        names = None  # `check` tells
    except BadStudy as error:
        raise study.error(error.location, str(error)) from None
    if names is not None:
        _metrics(study, [str(name) for name in names])
    try:
        _declared(study, kind, "check", task, study.space.domains, dict(study.fixed))
    except NotHere as error:
        if not elsewhere:
            raise study.error(error.location, str(error)) from None
    except BadStudy as error:
        raise study.error(error.location, str(error)) from None


def _remote(study: Study) -> None:
    """Raises StudyError for data and weights that are not on S3 or may not be read; asks for names only."""
    for section, key in (("data", "root"), ("model", "weights")):
        uri = study.task[section].get(key)
        if not isinstance(uri, str) or not uri.startswith("s3://"):
            continue
        from hpo.storage.download import located  # imports boto3

        try:
            where, name = located(uri, brief=True)
            file = key == "weights" and study.trainable in OURS
            there = where.tag(name) is not None if file else where.holds(name)
        except Unreachable:
            raise
        except StorageError as error:
            raise study.error((section, key), f"{section}.{key} must be readable, but {error}") from None
        if not there:
            lacking = "there is no such object" if file else "there are no objects below it"
            message = f"{section}.{key} must be there, but {lacking}: {uri}; check the address"
            raise study.error((section, key), message)


def _shape(study: Study, kind: type[Any]) -> None:
    """Raises StudyError for a class that workers could not build or train."""
    missing = [name for name in METHODS if not callable(getattr(kind, name, None))]
    if missing:
        raise study.error(
            ("trainable",),
            f"a trainable must have the methods {', '.join(METHODS)}, but {study.trainable} has no {missing[0]}",
        )
    try:
        inspect.signature(kind).bind({}, task={}, seed=0, max_epochs=1)
    except TypeError as error:
        raise study.error(
            ("trainable",),
            f"a trainable must be built as Class(config, task=, seed=, max_epochs=), but {study.trainable} is not: {error}",
        ) from None
    except ValueError:
        return  # a class whose signature Python cannot tell


def _declared(study: Study, kind: type[Any], name: str, *arguments: Any) -> Any:
    """Calls a static declaration of the trainable; returns None where it has none."""
    if getattr(kind, name, None) is None:
        return None
    if not isinstance(inspect.getattr_static(kind, name), staticmethod | classmethod):
        raise study.error(("trainable",), f"{name} of {study.trainable} must be static: nothing is built to call it")
    try:
        return getattr(kind, name)(*arguments)
    except BadStudy:
        raise
    except Exception as error:  # a user's code; an error of ours without a location is a sentence already
        what = str(error) if isinstance(error, HpoError) else f"{type(error).__name__}: {one_line(error)}"
        raise study.error(("trainable",), f"{name} of {study.trainable} must accept the study, but: {what}") from None


def _metrics(study: Study, names: list[str]) -> None:
    wanted: Mapping[tuple[str, ...], str] = {("metric",): study.metric}
    if study.early_stopping is not None:
        wanted = {**wanted, ("early_stopping", "metric"): study.early_stopping.metric}
    for location, metric in wanted.items():
        if metric not in names:
            raise study.error(
                location,
                f"{'.'.join(location)} must be one of the metrics that {study.trainable} reports ({', '.join(names)}), "
                f"but got {shown(metric)}{meant(metric, names)}",
            )
