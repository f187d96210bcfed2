"""Functions that yield metrics after each epoch, as trainables: the shortest way to bring training code.

A function takes the configuration first, and by name what it wants of `NAMES`. It waits at each `yield` until the next epoch
is asked for. Writes into temporary folders and the folder that `save` is given.
"""

from __future__ import annotations

import dis
import inspect
import json
import math
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from os import PathLike
from pathlib import Path
from types import CodeType
from typing import Any

from hpo.text import shown
from trainables.adapters.generators import Generators
from trainables.errors import BadStudy, BadTrainable, Diverged, InvalidConfig
from trainables.task import Task

NAMES = ("seed", "resume", "epoch", "task", "max_epochs")
"""What a function may take by name; `resume`: the folder of its last checkpoint or None, `epoch`: the epochs done there."""

STATES = "generators.pickle"

DECLARED = ("epoch_cost", "metrics", "check")
"""What a function may declare as its attributes, as a class does by static methods."""

Writer = Callable[[Path], object]
_running: list[Function] = []


def checkpoint(what: str | PathLike[str] | Writer) -> Path | None:
    """Saves the state of a function that yields metrics, so that its trial can be paused and resumed.

    A file or folder is copied at once, and belongs to the epoch whose metrics are yielded next. A function is called with an
    empty folder whenever the trial is to be saved, while the code waits at a `yield`; say it once, before the first epoch.
    Does nothing outside of a trial, so that the code can be tried by hand. Returns the folder of the copy, or None.
    """
    return _running[-1].keep(what) if _running else None


def go_on() -> None:
    """Tells that the code has read its checkpoint: what it draws from now on follows what it drew before.

    This concerns the global random generators. A call of `checkpoint` with a function tells it too.
    """
    if _running:
        _running[-1].go_on()


def adapted(found: Any, place: str, *, called: str = "", verb: str = "yield", code: Any = None) -> type[Any]:
    """Returns the trainable class that trains as the function does. Raises BadTrainable for what it cannot be called with.

    `called`, `verb`: what messages call the function and what it does with metrics. `code`: the function whose imports
    count, where `found` only calls that one.
    """
    called = called or str(getattr(getattr(found, "func", found), "__name__", place)).strip("<>")
    members = {"function": staticmethod(found), "takes": _taken(found, called), "called": called, "verb": verb}
    kind = type(called, (Function,), {**members, "code": staticmethod(found if code is None else code)})
    for name in DECLARED:
        if hasattr(found, name):
            setattr(kind, name, staticmethod(getattr(found, name)))
    return kind


def _taken(found: Any, called: str) -> tuple[str, ...]:
    """Returns which of NAMES the function takes."""
    parameters = inspect.signature(found).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return NAMES
    taken = tuple(name for name in NAMES if name in parameters)
    try:
        inspect.signature(found).bind({}, **dict.fromkeys(taken))
    except TypeError as error:
        raise BadTrainable(
            f"{called} must take a configuration, and by name any of {', '.join(NAMES)}, but has {inspect.signature(found)}: "
            f"{error}"
        ) from None
    return taken


class Function:
    """The trainable of a function. Subclasses, made by `adapted`, have the function and what it takes.

    Where it never saved a checkpoint, `load` begins anew; where it saved one some epochs ago, it goes back there:
    `resumed_epoch` tells.
    """

    function: Callable[..., Any]
    code: Callable[..., Any]
    takes: tuple[str, ...]
    called: str
    verb: str

    def __init__(self, config: Mapping[str, Any], *, task: Mapping[str, Any], seed: int, max_epochs: int) -> None:
        self.epoch = self.resumed_epoch = 0
        self._given = {"seed": seed, "task": Task.from_json(task), "max_epochs": max_epochs}
        self._config, self._most = dict(config), max_epochs
        self._metrics: dict[str, float] = {}
        self._epochs: Iterator[Any] | None = None  # the function, waiting at a yield
        self._generators = Generators(seed)
        self._resuming: Mapping[str, Any] = {}  # their states at the checkpoint, until the code goes on from there
        self._folder = Path(tempfile.mkdtemp(prefix="hpo-function-"))
        self._clear = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._writer: Writer | None = None
        self._saved = 0  # the epoch of the checkpoint that lies in `_kept`
        self._fresh = False  # it is that of the epoch under way
        self.provenance: dict[str, str] = {}

    @property
    def _kept(self) -> Path:
        return self._folder / "checkpoint"

    def train_epoch(self) -> dict[str, float]:
        """Lets the function go on to its next yield, and returns what it yields."""
        _running.append(self)
        try:
            if self._epochs is None:
                _import_what_it_will(self.code)
            with self._generators.in_force():
                found = next(self._going())
        except StopIteration:
            raise InvalidConfig(
                f"{self.called} must {self.verb} metrics after each of its {self._most} epochs, but it ended after {self.epoch}"
            ) from None
        finally:
            _running.pop()
        self.epoch += 1
        if self._fresh:
            self._mark()
        self._metrics = self._numbers(found)
        return dict(self._metrics)

    def test(self) -> dict[str, float]:
        """Returns the last epoch's metrics whose names begin with "test", or all where there are none: it is no new test."""
        return {k: v for k, v in self._metrics.items() if k.startswith("test")} or dict(self._metrics)

    def save(self, directory: str | PathLike[str]) -> None:
        """Writes the function's newest checkpoint, with the epoch that it belongs to."""
        if self._writer is not None:
            self._writer(self._emptied())
            self._mark()
        shutil.rmtree(Path(directory) / "checkpoint", ignore_errors=True)
        if self._saved:
            shutil.copytree(self._folder, directory, dirs_exist_ok=True)
        state = {"epoch": self._saved, "metrics": self._metrics if self._saved == self.epoch else {}}
        (Path(directory) / "function.json").write_text(json.dumps(state))

    def load(self, directory: str | PathLike[str]) -> None:
        """Goes back to the checkpoint that `save` wrote, or to the start where there was none."""
        state = json.loads((Path(directory) / "function.json").read_text())
        self.epoch = self.resumed_epoch = self._saved = int(state["epoch"])
        self._metrics = state["metrics"]
        if not self._saved:
            self.provenance = {"resumption": f"{self.called} saves no checkpoint: its paused trials are trained anew"}
            return
        shutil.copytree(Path(directory) / "checkpoint", self._kept)
        self._resuming = pickle.loads((Path(directory) / STATES).read_bytes())

    def close(self) -> None:
        """Ends the function where it waits, whatever it does about that."""
        epochs, self._epochs, self._writer = self._epochs, None, None
        with suppress(Exception):
            if epochs is not None and hasattr(epochs, "close"):
                epochs.close()
        self._clear()

    # -- what the function calls while it runs ---------------------------------------------------------------------

    def keep(self, what: str | PathLike[str] | Writer) -> Path | None:
        """Takes a checkpoint; see `checkpoint`."""
        if callable(what):
            self._writer = what
            self.go_on()
            return None
        source = Path(what)
        if not source.exists():
            raise BadStudy(
                ("trainable",), f"hpo.checkpoint must be given a file or folder, but there is none at {source}"
            )
        self._fresh = True
        if source == self._kept:  # the one that it has, unchanged
            return source
        kept = self._emptied()
        if source.is_dir():
            shutil.copytree(source, kept, dirs_exist_ok=True)
        else:
            shutil.copy2(source, kept / source.name)
        return kept

    def go_on(self) -> None:
        """Puts the random generators to where they stood at the checkpoint; see the function `go_on`."""
        if self._resuming:
            self._generators.put(self._resuming)
            self._resuming = {}

    # -- how it runs -----------------------------------------------------------------------------------------------

    def _going(self) -> Iterator[Any]:
        """Returns the function, waiting at a yield; calls it first where it has not been."""
        if self._epochs is None:
            given = {**self._given, "resume": self._kept if self._saved else None, "epoch": self.epoch}
            found = self.function(self._config, **{name: given[name] for name in self.takes})
            if not isinstance(found, Iterator):
                raise self._wrong(f"{self.verb} metrics after each epoch, but it returned {shown(found)}")
            self._epochs = found
        return self._epochs

    def _numbers(self, found: Any) -> dict[str, float]:
        if not isinstance(found, Mapping) or not found:
            raise self._wrong(f'{self.verb} metrics by name, such as {{"val_accuracy": 0.5}}, but got {shown(found)}')
        return {str(name): self._number(str(name), value) for name, value in found.items()}

    def _number(self, name: str, value: Any) -> float:
        try:
            number = float("none" if isinstance(value, str) else value)
        except (TypeError, ValueError, RuntimeError):  # the last one: a tensor of several numbers
            raise self._wrong(f"{self.verb} a number for each metric, but {name} is {shown(value)}") from None
        if not math.isfinite(number):
            raise Diverged(self.epoch, name, number)
        return number

    def _wrong(self, must: str) -> BadStudy:
        return BadStudy(("trainable",), f"{self.called} must {must}")

    def _emptied(self) -> Path:
        shutil.rmtree(self._kept, ignore_errors=True)
        self._kept.mkdir()
        return self._kept

    def _mark(self) -> None:
        """Notes that the checkpoint belongs to the epoch that has just been trained."""
        self._saved, self._fresh = self.epoch, False
        (self._folder / STATES).write_bytes(pickle.dumps(self._generators.states))


def _import_what_it_will(function: Any) -> None:
    """Imports the modules that the function's own code imports: a library's generator is seeded only when it is there."""
    code = getattr(getattr(function, "func", function), "__code__", None)
    for module in _imported(code) if code is not None else ():
        with suppress(Exception):  # the function will raise it
            import_module(module)


def _imported(code: CodeType) -> Iterator[str]:
    yield from (str(step.argval) for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME" and step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _imported(inner)
