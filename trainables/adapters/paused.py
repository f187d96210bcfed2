"""A function that trains many epochs in one call, in a thread that stands still between the epochs that are asked for.

    paused = Paused(lambda report: train(config, report), seed)
    paused.next()       # -> what the function's first call of `report` was given; it stands still in there
    paused.next()       # -> of its second call. Raises what the function raises, and Returned when it returns
    paused.close()      # its report raises Ended, and its `finally` blocks run; so, later, where nobody holds it any more

At any time either the caller or the function runs, never both. Writes nothing.
"""

from __future__ import annotations

import inspect
import logging
import math
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any

from hpo.text import one_line
from trainables.adapters.generators import Generators
from trainables.errors import Diverged, InvalidConfig
from trainables.task import Task

log = logging.getLogger(__name__)

CLOSING_SECONDS = 10.0  # that a function has to end when it is told to


class Ended(BaseException):  # no Exception: training code that catches those must end nevertheless
    """The trial is over: raised in the function, by `report`."""


class Returned(Exception):
    """The function has returned `value`: there is no further epoch."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Paused:
    """Runs `function(report)` from one call of `report` to the next. The function must hold no reference to this object.

    While it runs, Python's, NumPy's and PyTorch's global generators are its own, begun from `seed`.
    """

    def __init__(self, function: Callable[[Callable[[Any], None]], Any], seed: int) -> None:
        _end_forgotten()
        self.generators = Generators(seed)
        self._baton = Baton(function)
        self._end = weakref.finalize(self, _forgotten.put, (self._baton, self.generators))
        self._end.atexit = False  # a daemon's thread ends with the process

    def next(self) -> Any:
        """Lets the function go on and returns what it reports next. Raises what it raises; Returned when it returns."""
        _end_forgotten()
        if not self._end.alive:
            raise RuntimeError("a closed function must not be asked for more, but it was")
        with self.generators.in_force():
            return self._baton.next()

    def close(self) -> None:
        """Ends the function where it stands, by Ended, and waits a while for it. Does nothing the second time."""
        if self._end.detach():
            _close(self._baton, self.generators)


_forgotten: SimpleQueue[tuple[Baton, Generators]] = SimpleQueue()
"""Functions that nobody holds any more, to be ended when another one is made or goes on. Not by the collector: it may come
while PyTorch holds the lock of a generator, for which ending a function would then wait for ever."""


def _end_forgotten() -> None:
    with suppress(Empty):
        while True:
            _close(*_forgotten.get_nowait())


def _close(baton: Baton, generators: Generators) -> None:
    with generators.in_force():
        baton.close()


class Baton:
    """Runs a function in a thread, from one call of `report` to the next: who has the baton runs, it or the caller."""

    def __init__(self, function: Callable[[Callable[[Any], None]], Any]) -> None:
        self._function = function
        self._go: SimpleQueue[bool] = SimpleQueue()  # to the thread: whether it may go on, or must end
        self._come: SimpleQueue[Callable[[], Any]] = SimpleQueue()  # to the caller: what returns or raises the outcome
        self._thread: threading.Thread | None = None
        self._closing = False

    def next(self) -> Any:
        """See Paused."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="paused function", daemon=True)
            self._thread.start()
        elif not self._thread.is_alive():
            raise RuntimeError("a function that has ended must not be asked for more, but it was")
        else:
            self._go.put(True)
        return self._come.get()()

    def close(self) -> None:
        """See Paused. A function that does not end in time is left alone."""
        self._closing = True
        if self._thread is not None and self._thread.is_alive():
            self._go.put(False)
            self._thread.join(CLOSING_SECONDS)
            if self._thread.is_alive():
                log.warning("a function must end when its trial does, but it has not in %g s", CLOSING_SECONDS)

    def report(self, value: Any) -> None:
        """Hands a value to the caller and stands still until the next is asked for. Raises Ended."""
        if not self._closing:
            self._come.put(lambda: value)
            if self._go.get():
                return
        raise Ended

    def _run(self) -> None:
        try:
            outcome = _raiser(Returned(self._function(self.report)))
        except BaseException as error:  # whatever the function raises is the caller's
            outcome = _raiser(error)
        self._come.put(outcome)


def _raiser(error: BaseException) -> Callable[[], Any]:
    def raises() -> Any:
        raise error

    return raises


class Stepwise:
    """The part of a trainable that asks a paused function for one epoch at a time: it reports an epoch's metrics.

    `name`: as the study names the function.
    """

    def __init__(self, name: str, function: Callable[[Callable[[Any], None]], Any], seed: int) -> None:
        self.name = name
        self.paused = Paused(function, seed)
        self.epoch = 0

    def train_epoch(self) -> dict[str, float]:
        """Returns the metrics of the next report. Raises InvalidConfig if there is none, and Diverged."""
        try:
            metrics: dict[str, float] = self.paused.next()
        except Returned:
            raise InvalidConfig(
                f"{self.name} must train as long as it is asked to, but it ended after {self.epoch} epochs; lower "
                f"budget.max_epochs, and leave stopping early to the study"
            ) from None
        self.epoch += 1
        for metric, value in metrics.items():
            if not math.isfinite(value):
                raise Diverged(self.epoch, metric, value)
        return metrics

    def close(self) -> None:
        """Ends the function."""
        self.paused.close()


class Retraining(Stepwise):
    """A trainable whose function writes no checkpoints: after `load` it is trained again from its first epoch."""

    resumed_epoch = 0
    provenance: Mapping[str, str] = MappingProxyType({})

    def save(self, directory: str | Path) -> None:
        """Writes nothing: there is nothing to keep."""

    def load(self, directory: str | Path) -> None:
        """Stays where it is, at the start."""
        self.provenance = {"resumption": f"{self.name} saves no checkpoint: its paused trials are trained anew"}


class Resuming(Stepwise):
    """A trainable of a library's trainer, which writes checkpoints and is built anew to go on from one.

    `build`: the user's function. `made(build, config, offered)` returns the trainer and what belongs to it.
    `run(make, live, checkpoint, report)` trains all epochs with what `make()` returns, and leaves it in `live`.
    """

    build: Callable[..., Any]
    made: Callable[..., Any]
    run: Callable[..., Any]

    def __init__(self, config: Mapping[str, Any], *, task: Task, seed: int, max_epochs: int) -> None:
        offered = {"task": task, "seed": seed, "max_epochs": max_epochs}
        self._make, self._seed = partial(self.made, self.build, config, offered), seed
        self._begin()

    def _begin(self, checkpoint: Path | None = None) -> None:
        self._live: dict[str, Any] = {}
        super().__init__(self.name, partial(self.run, self._make, self._live, checkpoint), self._seed)


def called(function: Callable[..., Any], config: Mapping[str, Any], **offered: Any) -> Any:
    """Calls a user's function with the configuration, and with those of `offered` that its signature names.

    Raises InvalidConfig for a ValueError: that is how libraries refuse a configuration.
    """
    known = inspect.signature(function).parameters
    wanted = {name: value for name, value in offered.items() if name in known}
    try:
        return function(dict(config), **wanted)
    except ValueError as error:
        raise InvalidConfig(f"the configuration must be possible, but: {one_line(error)}") from error
