"""Functions and classes written for Ray Tune, unmodified: "tune:package.module:train".

A function runs in a thread, which waits in `ray.tune.report` until the next epoch is asked for. Each report is an epoch; its
numbers are the metrics, those of nested dictionaries as "outer/inner". This and `tune_session` alone know Ray in this package.
"""

from __future__ import annotations

import inspect
import logging
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any

from ray.tune import Checkpoint, Trainable
from ray.tune.result import AUTO_RESULT_KEYS

from hpo.text import shown
from trainables.adapters import generator
from trainables.adapters.tune_session import Session, built, ended, restored, saved
from trainables.errors import BadStudy, BadTrainable

log = logging.getLogger(__name__)

END_SECONDS = 5.0  # that a function may take to end, before its thread is left alone

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
            paused = _Paused(lambda: function(config), folder, resume)
            try:
                while (metrics := paused.next()) is not None:
                    yield _numbers(metrics)
            finally:
                paused.end()

    return train


class _Paused(Session):
    """A function in a thread that waits in every report. `resume`: the folder of the checkpoint that it will find."""

    def __init__(self, call: Callable[[], Any], folder: str, resume: Path | None) -> None:
        super().__init__(folder)
        self._call, self._ended = call, False
        self._resume = None if resume is None else Checkpoint.from_directory(str(resume))
        self._may_go_on = threading.Semaphore(0)
        self._news: queue.SimpleQueue[tuple[Any, Checkpoint | BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tune-function", daemon=True)

    @property
    def loaded_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint, which a function asks for when it has made what it loads it into."""
        if self._resume is not None:
            generator.go_on()
        return self._resume

    @loaded_checkpoint.setter
    def loaded_checkpoint(self, checkpoint: Checkpoint | None) -> None:
        self._resume = checkpoint

    def report(self, metrics: Mapping[str, Any], checkpoint: Checkpoint | None = None) -> None:
        """Hands metrics over and waits; ends the thread where nothing more is asked for."""
        if not self._ended:
            self._news.put((metrics, checkpoint))
            self._may_go_on.acquire()
        if self._ended:
            raise SystemExit  # which no `except Exception` of the function takes for a fault

    def next(self) -> Any:
        """Lets the function go on to its next report, and returns what it reports; None where it has returned."""
        with self.in_place():
            if self._thread.ident is None:
                self._thread.start()
            else:
                self._may_go_on.release()
            metrics, what = self._news.get()
        if isinstance(what, BaseException):
            raise what
        if what is not None:
            with what.as_directory() as folder:
                self._resume = Checkpoint.from_directory(str(generator.checkpoint(folder)))
        return metrics

    def end(self) -> None:
        """Ends the function at the report in which it waits."""
        self._ended = True
        self._may_go_on.release()
        with self.in_place():
            if self._thread.ident is not None:
                self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            log.warning("a function must end when ray.tune.report raises SystemExit, but it goes on; it is left alone")

    def _run(self) -> None:
        try:
            found = self._call()
            if inspect.isgenerator(found):
                for each in found:
                    self._returned(each)
            else:
                self._returned(found)
            self._news.put((None, None))
        except SystemExit as error:
            self._news.put(
                (None, None if self._ended else RuntimeError(f"the function called sys.exit({error.code!r})"))
            )
        except BaseException as error:  # the function's; it is raised where the epoch was asked for
            self._news.put((None, error))

    def _returned(self, output: Any) -> None:
        """Takes what a function returns or yields for a report, as Tune does."""
        if isinstance(output, Mapping) and output:
            self.report(output)
        elif isinstance(output, Number):
            self.report({"_metric": output})


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
