"""PyTorch Lightning as a trainable: "lightning:package.module:function", or a LightningModule instead of the function.

The function takes a configuration (and `task`, `seed` or `max_epochs`, if it has such parameters) and returns a
LightningModule, a pair of it and a LightningDataModule, or with a third item settings of the Trainer. A class gets the
configuration as keyword arguments. One `Trainer.fit` trains all epochs of a trial; it stands still between them.

Resumption is exact: the epoch's state is Lightning's own checkpoint, the global generators and those of the data loaders.
"""

from __future__ import annotations

import inspect
import logging
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from hpo.files import appearing, write_whole
from hpo.text import one_line
from trainables.adapters.paused import Paused, Resuming, Returned, called
from trainables.errors import BadStudy, InvalidConfig, UnknownHyperparameter

QUIET = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    "devices": 1, "num_sanity_val_steps": 0,
}  # fmt: skip
CHECKPOINT, GENERATORS = "lightning.ckpt", "generators.pickle"

Report = Callable[[Any], None]


def adapted(found: Callable[..., Any], name: str) -> type[Any]:
    """Returns the trainable class of a function that builds a module, or of a LightningModule."""
    parts = {"build": staticmethod(found), "made": staticmethod(_made), "run": staticmethod(_fit)}
    return type("LightningTrainable", (LightningTrainable,), {**parts, "name": name})


class LightningTrainable(Resuming):
    """Trains what `build` returns. An epoch's metrics are those that the module logs (`Trainer.callback_metrics`)."""

    def save(self, directory: str | Path) -> None:
        """Writes Lightning's checkpoint and the state of every random generator."""
        with self.paused.generators.in_force(), appearing(Path(directory) / CHECKPOINT) as beside:
            self._live["trainer"].save_checkpoint(beside)
        loaders = [generator.get_state() for generator in _generators(self._live["trainer"])]
        state = {"epoch": self.epoch, "global": self.paused.generators.states, "loaders": loaders}
        write_whole(Path(directory) / GENERATORS, pickle.dumps(state))

    def load(self, directory: str | Path) -> None:
        """Builds everything anew, restores the checkpoint, and stands still before the next epoch."""
        state = pickle.loads((Path(directory) / GENERATORS).read_bytes())
        self._begin(Path(directory) / CHECKPOINT)
        self.paused.next()
        self.epoch = state["epoch"]
        self.paused.generators.states = state["global"]  # what setting up has drawn does not count
        for generator, each in zip(_generators(self._live["trainer"]), state["loaders"], strict=True):
            generator.set_state(each)

    def test(self) -> dict[str, float]:
        """Returns what the module logs in `test_step`, with the weights as they are. Raises BadStudy where it has none."""
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / CHECKPOINT
            with self.paused.generators.in_force():
                self._live["trainer"].save_checkpoint(checkpoint)
            try:
                Paused(partial(_test, self._make, checkpoint), self._seed).next()
            except Returned as returned:
                metrics: dict[str, float] = returned.value
        if not metrics:
            raise BadStudy(
                ("final",), f"{self.name} must log metrics in its test_step for the final test, but it logs none"
            )
        return metrics


def _made(build: Callable[..., Any], config: Mapping[str, Any], offered: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Returns a new Trainer, the module, and its data: None where the module has its own."""
    found = called(partial(_instance, build), config) if isinstance(build, type) else called(build, config, **offered)
    model, data, settings = (*(found if isinstance(found, tuple) else (found,)), None, None)[:3]
    library = _library(model)
    with _refusing(library):
        return library.Trainer(**QUIET | (settings or {}) | {"max_epochs": offered["max_epochs"]}), model, data


def _instance(build: type[Any], config: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(build).bind(**config)
    except TypeError as error:
        raise UnknownHyperparameter(f"hyperparameters must be arguments of {build.__name__}, but: {error}") from error
    return build(**config)


def _library(model: Any) -> Any:
    """Returns lightning.pytorch, or pytorch_lightning where the module is of that package, and silences its hints."""
    plain = any(kind.__module__.startswith("pytorch_lightning") for kind in type(model).__mro__)
    library = import_module("pytorch_lightning" if plain else "lightning.pytorch")
    logging.getLogger(library.__name__).setLevel(logging.WARNING)
    hints = import_module(f"{'lightning_fabric' if plain else 'lightning.fabric'}.utilities.warnings")
    hints.disable_possible_user_warnings()
    warnings.filterwarnings("ignore", "'pin_memory' argument is set as true but no accelerator", UserWarning)
    warnings.filterwarnings("ignore", r".*LeafSpec.* is deprecated", FutureWarning)  # Lightning 2.6 with PyTorch 2.14
    return library


@contextmanager
def _refusing(library: Any, begun: Callable[[], bool] = bool) -> Iterator[None]:
    """Translates Lightning's refusal of a configuration: what it raises before training has `begun`."""
    try:
        yield
    except (library.utilities.exceptions.MisconfigurationException, ValueError) as error:
        if begun():
            raise
        raise InvalidConfig(f"the configuration must be possible, but: {one_line(error)}") from error


def _fit(
    make: Callable[[], tuple[Any, Any, Any]], live: dict[str, Any], checkpoint: Path | None, report: Report
) -> None:
    """Trains all epochs, and reports the metrics of each when Lightning has done with it.

    With a checkpoint it first reports None, restored and before the next epoch.
    """
    trainer, model, data = make()
    live["trainer"] = trainer
    loop = trainer.fit_loop
    began, ended = loop.on_advance_start, loop.on_advance_end
    begun: list[bool] = []

    def begin() -> None:
        begun.append(True)
        if loop.is_resuming:
            report(None)
            loop._resuming_from_checkpoint = False  # so that the epoch makes its own iterator, as every other does
        began()

    def end() -> None:
        ended()
        report({name: float(value) for name, value in trainer.callback_metrics.items()})

    loop.on_advance_start, loop.on_advance_end = begin, end
    with _refusing(_library(model), lambda: bool(begun)):
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=False)


def _test(make: Callable[[], tuple[Any, Any, Any]], checkpoint: Path, report: Report) -> dict[str, float]:
    trainer, model, data = make()
    try:
        trainer.test(model, datamodule=data, ckpt_path=checkpoint, weights_only=False, verbose=False)
    except _library(model).utilities.exceptions.MisconfigurationException as error:
        raise BadStudy(("final",), f"the module must have a test for the final test, but: {one_line(error)}") from error
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _generators(trainer: Any) -> Iterator[torch.Generator]:
    """Yields the generators of the training data's loaders, each once."""
    seen: list[torch.Generator] = []
    for loader in trainer.fit_loop._combined_loader.flattened:
        for part in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
            found = getattr(part, "generator", None)
            if isinstance(found, torch.Generator) and not any(found is other for other in seen):
                seen.append(found)
                yield found
