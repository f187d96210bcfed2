"""Hugging Face's Trainer as a trainable: "huggingface:package.module:function".

The function takes a configuration (and `task`, `seed` or `max_epochs`, if it has such parameters) and returns a
`transformers.Trainer`, or one of its subclasses, with `model_init` or a model; or a pair of it and the data of the test.
One `Trainer.train` trains all epochs of a trial; it stands still between them. Evaluation is at the end of each epoch.

Resumption is exact: the state is the Trainer's own checkpoint, with its random generators.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.utils import logging

from trainables.adapters.generators import Generators
from trainables.adapters.paused import Resuming, called
from trainables.errors import BadStudy

CHECKPOINT, LOST = "checkpoint", "lost.pt"
TIMES = ("_runtime", "_samples_per_second", "_steps_per_second", "_model_preparation_time")
PLACE = ("epoch", "step")  # of an entry in the Trainer's history

Report = Callable[[Any], None]


def adapted(found: Callable[..., Any], name: str) -> type[Any]:
    """Returns the trainable class of a function that builds a Trainer."""
    parts = {"build": staticmethod(found), "made": staticmethod(_made), "run": staticmethod(_train)}
    return type("HuggingFaceTrainable", (HuggingFaceTrainable,), {**parts, "name": name})


class HuggingFaceTrainable(Resuming):
    """Trains with the Trainer that `build` returns. An epoch's metrics are what it logs: loss, eval_loss, eval_..."""

    def save(self, directory: str | Path) -> None:
        """Writes the Trainer's checkpoint, over an older one."""
        trainer = self._live["trainer"]
        with self.paused.generators.in_force(), tempfile.TemporaryDirectory(dir=directory) as beside:
            with _output_in(trainer, beside):
                trainer._save_checkpoint(trainer.model, trial=None)
            written = next(Path(beside).iterdir())
            torch.save(_lost(trainer.model, written), written / LOST)
            shutil.rmtree(Path(directory) / CHECKPOINT, ignore_errors=True)
            written.rename(Path(directory) / CHECKPOINT)

    def load(self, directory: str | Path) -> None:
        """Builds everything anew, restores the checkpoint, and stands still before the next epoch's first step."""
        self._begin(Path(directory) / CHECKPOINT)
        self.epoch = self.paused.next()
        lost = torch.load(Path(directory) / CHECKPOINT / LOST, weights_only=True)
        self._live["trainer"].model.load_state_dict(lost, strict=False)

    def test(self) -> dict[str, float]:
        """Returns the metrics of predictions for the test data, as test_... Raises BadStudy where there are none."""
        if (data := self._live.get("test")) is None:
            raise BadStudy(
                ("final",), f"{self.name} must return (trainer, test_dataset) for the final test, but has no test"
            )
        with Generators(self._seed).in_force():
            metrics = self._live["trainer"].predict(data, metric_key_prefix="test").metrics
        return _untimed(metrics)


def _made(build: Callable[..., Any], config: Mapping[str, Any], offered: Mapping[str, Any]) -> tuple[Trainer, Any]:
    """Returns the user's Trainer, set up for the study's epochs, seed and silence; and the test data, or None."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found = called(build, config, **offered)
    trainer, test = found if isinstance(found, tuple) else (found, None)
    given: dict[str, Any] = {
        "num_train_epochs": offered["max_epochs"], "max_steps": -1, "seed": offered["seed"], "data_seed": None,
        "eval_strategy": "epoch" if trainer.eval_dataset is not None else "no", "eval_on_start": False,
        "logging_strategy": "epoch", "logging_nan_inf_filter": False, "save_strategy": "no",
        "load_best_model_at_end": False, "push_to_hub": False, "save_only_model": False,
        "dataloader_pin_memory": trainer.args.dataloader_pin_memory and torch.cuda.is_available(),
    }  # fmt: skip
    for name, value in given.items():
        setattr(trainer.args, name, value)
    for kind in (PrinterCallback, ProgressCallback, *INTEGRATION_TO_CALLBACK.values()):
        trainer.remove_callback(kind)
    set_seed(offered["seed"])  # where there is no model_init, the Trainer draws on from its construction
    return trainer, test


def _train(
    make: Callable[[], tuple[Trainer, Any]], live: dict[str, Any], checkpoint: Path | None, report: Report
) -> None:
    """Trains all epochs, and reports the metrics of each. With a checkpoint it first reports the number of its epochs."""
    trainer, test = make()
    live.update(trainer=trainer, test=test)
    trainer.add_callback(Pauses(report, resumes=checkpoint is not None))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


class Pauses(TrainerCallback):
    """Stands still when an epoch is over: before the next begins, when the Trainer would have written its checkpoint."""

    def __init__(self, report: Report, *, resumes: bool) -> None:
        self._report, self._resumes = report, resumes
        self._seen: int | None = None  # entries of the history

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Reports the last epoch, if this process has trained one."""
        if self._seen is not None:
            self._report(self._metrics(state))
        self._seen = len(state.log_history)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Reports before the first step of a resumed training: now the Trainer has read all of its checkpoint."""
        if self._resumes:
            self._resumes = False
            self._report(round(state.epoch or 0))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Reports the last epoch of all."""
        self._report(self._metrics(state))

    def _metrics(self, state: TrainerState) -> dict[str, float]:
        entries = [entry for entry in state.log_history[self._seen or 0 :] if "train_runtime" not in entry]
        return _untimed({name: value for entry in entries for name, value in entry.items() if name not in PLACE})


def _untimed(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics that are numbers and say nothing of time, which the study measures."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in numbers.items() if not name.endswith(TIMES)}


def _lost(model: torch.nn.Module, folder: Path) -> dict[str, torch.Tensor]:
    """Returns what training changes and the Trainer would not read from its own checkpoint.

    It writes some models under the names of older versions and ignores those when it resumes, which is an error of
    Transformers 5 (huggingface/transformers#48805).
    """
    kept: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        kept.update(load_file(path))
    frozen = {name for name, each in model.named_parameters(remove_duplicate=False) if not each.requires_grad}
    state = {name: each.detach().cpu() for name, each in model.state_dict().items() if name not in frozen}
    return {name: each for name, each in state.items() if name not in kept or not torch.equal(each, kept[name])}


@contextmanager
def _output_in(trainer: Trainer, folder: str) -> Iterator[None]:
    before, trainer.args.output_dir = trainer.args.output_dir, folder
    try:
        yield
    finally:
        trainer.args.output_dir = before
