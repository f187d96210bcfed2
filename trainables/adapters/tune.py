"""Functions and classes written for Ray Tune, unmodified: "tune:package.module:train".

A function runs in a thread, which waits in `ray.tune.report` until the next epoch is asked for. Each report is an epoch; its
numbers are the metrics, those of nested dictionaries as "outer/inner". This and `tune_session` alone know Ray in this package.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any

from ray.tune import Checkpoint, Trainable
from ray.tune.result import AUTO_RESULT_KEYS

from hpo.text import shown
from trainables.adapters import generator
from trainables.adapters.paused import Baton, Returned
from trainables.adapters.tune_session import Session, built, ended, restored, saved
from trainables.errors import BadStudy, BadTrainable

Metrics = dict[str, float]


def adapted(found: Any, name: str) -> type[Any]:
    """Returns the trainable class that trains as Tune would train the function or the tune.Trainable."""
    if isinstance(found, type):
        if not issubclass(found, Trainable):
            raise BadTrainable(
                f"trainable {shown(name)} must be a function or a tune.Trainable, but {found.__name__} is not"
            )
        return generator.adapted(_of_class(found), name, called=found.__name__, verb="report")
    if not callable(found):
        raise BadTrainable(f"trainable {shown(name)} must be a function or a tune.Trainable, but it is {shown(found)}")
    called = getattr(found, "__name__", name)
    return generator.adapted(_of_function(found), name, called=called, verb="report", code=found)


def _of_class(kind: Any) -> Callable[..., Iterator[Metrics]]:
    def train(config: dict[str, Any], *, resume: Path | None) -> Iterator[Metrics]:
        trainable = built(kind, config)
        try:
            if resume is not None:
                restored(trainable, resume)
            if kind.save_checkpoint is not Trainable.save_checkpoint:  # else it is trained anew
                generator.checkpoint(lambda folder: saved(trainable, folder))
            done = False
            while not done:
                result = trainable.train()
                done = bool(result.get("done"))
                yield _numbers(result)
        finally:
            ended(trainable)

    return train


def _of_function(function: Callable[..., Any]) -> Callable[..., Iterator[Metrics]]:
    def train(config: dict[str, Any], *, resume: Path | None) -> Iterator[Metrics]:
        with tempfile.TemporaryDirectory(prefix="hpo-tune-") as folder:
            session = _Reporting(folder, resume)
            baton = Baton(lambda report: _play(function, config, session, report))
            try:
                while True:
                    with session.in_place():
                        metrics, checkpoint = baton.next()
                    session.keep(checkpoint)
                    yield _numbers(metrics)
            except Returned:
                return
            finally:
                with session.in_place():
                    baton.close()

    return train


class _Reporting(Session):
    """A session whose function reports to a baton. `resume`: the folder of the checkpoint that it will find."""

    def __init__(self, folder: str, resume: Path | None) -> None:
        super().__init__(folder)
        self.hand_over: Callable[[Any], None]
        self._checkpoint = None if resume is None else Checkpoint.from_directory(str(resume))

    @property
    def loaded_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint, which a function asks for when it has made what it loads it into."""
        if self._checkpoint is not None:
            generator.go_on()
        return self._checkpoint

    def report(self, metrics: Any, checkpoint: Checkpoint | None = None) -> None:
        """Hands metrics over, and waits until the next epoch is asked for."""
        self.hand_over((metrics, checkpoint))

    def keep(self, checkpoint: Checkpoint | None) -> None:
        """Takes a checkpoint that the function has reported, while the function waits: then it may delete its own."""
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                self._checkpoint = Checkpoint.from_directory(str(generator.checkpoint(folder)))


def _play(
    function: Callable[..., Any], config: dict[str, Any], session: _Reporting, report: Callable[[Any], None]
) -> None:
    """Calls a function. What it returns, or yields, is a report too, as for Tune."""
    session.hand_over = report
    try:
        found = function(config)
        for each in found if inspect.isgenerator(found) else (found,):
            if isinstance(each, Mapping) and each:
                session.report(each)
            elif isinstance(each, Number):
                session.report({"_metric": each})
    except SystemExit as error:  # it would end the worker process
        raise RuntimeError(f"the function called sys.exit({error.code!r})") from error


def _numbers(metrics: Any, before: str = "") -> Metrics:
    if not isinstance(metrics, Mapping):
        raise BadStudy(("trainable",), f"a function must report metrics by name, but it reported {shown(metrics)}")
    found: Metrics = {}
    for name, value in metrics.items():
        if not before and name in AUTO_RESULT_KEYS:
            continue
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{before}{name}/")
        elif isinstance(value, Number) and not isinstance(value, bool | complex):
            found[f"{before}{name}"] = float(value)  # type: ignore[arg-type]
    return found
