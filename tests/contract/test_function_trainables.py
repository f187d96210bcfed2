"""Functions that yield or report: the contract of trainables, pauses, and what users get wrong, each answered by a sentence."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from ray import tune
from ray.tune import Checkpoint

import hpo
from hpo.worker.training import Assignment, Training
from trainables import given, load
from trainables.contract import verify
from trainables.curves import Curves
from trainables.errors import BadStudy, BadTrainable, Diverged, InvalidConfig

pytestmark = pytest.mark.usefixtures("one_thread")

# -- functions that yield ----------------------------------------------------------------------------------------------


def network(config, *, seed, resume=None, epoch=0):
    """Draws from PyTorch's and NumPy's global generators, before its first epoch too."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    if resume:
        model.load_state_dict(torch.load(resume / "model.pt"))
    optimizer = torch.optim.SGD(model.parameters(), config["rate"])
    hpo.checkpoint(lambda folder: torch.save(model.state_dict(), folder / "model.pt"))
    while True:
        loss = model(torch.randn(8, 4)).square().mean() + np.random.rand()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch += 1
        yield {"val_loss": loss.item(), "epochs": epoch}


def saves_every_third_epoch(config, *, seed, resume=None, epoch=0, max_epochs):
    x = json.loads((resume / "x.json").read_text()) if resume else 0.0
    for number in range(epoch + 1, max_epochs + 1):
        x += config["rate"] * float(np.random.default_rng([seed, number]).random())
        if number % 3 == 0:
            Path("x.json").write_text(json.dumps(x))
            hpo.checkpoint("x.json")
        yield {"val_loss": x}


def saves_nothing(config, *, seed):
    rng = np.random.default_rng(seed)
    while True:
        yield {"val_loss": np.float32(rng.random())}


saves_nothing.epoch_cost = lambda config: 1 + config["rate"]
saves_nothing.metrics = lambda task: ("val_loss",)


def saves_a_folder(config, *, task, resume=None):
    x = float((resume / "in" / "x.txt").read_text()) if resume else task.data.get("start", 0.0)
    folder = Path("saved")
    (folder / "in").mkdir(parents=True, exist_ok=True)
    while True:
        x += config["rate"]
        (folder / "in" / "x.txt").write_text(repr(x))
        hpo.checkpoint(folder)
        yield {"val_loss": x}


@pytest.mark.parametrize("function", [network, saves_every_third_epoch, saves_nothing, saves_a_folder])
def test_functions_that_yield_keep_the_contract(function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verify(function, {"rate": 0.1})


def test_a_function_in_no_module_keeps_it_in_another_process_too():
    verify(lambda config, *, seed: iter([{"val_loss": config["rate"] + seed + e} for e in range(4)]), {"rate": 0.1})


def test_the_code_can_be_tried_by_hand():
    assert [found["epochs"] for found, _ in zip(network({"rate": 0.1}, seed=0), range(3), strict=False)] == [1, 2, 3]


def segments(function, folder, *stops):
    """Trains a trial in a process of its own for each stop; returns (epoch, value) of every reported row."""
    found, known = [], 0
    for stop in stops:
        training = Training(
            Assignment("0" * 16, {"rate": 0.1}, {"trainable": given.name_of(function)}, 0, 4, stop, known, str(folder))
        )
        while not (report := training.step()).done:
            found += report.records
        found += report.records
        assert report.failure is None
        training.close()
        known = stop
    return [(row["epoch"], row["metrics"]["val_loss"]) for row in found], report.provenance


def test_a_paused_trial_goes_back_to_the_last_checkpoint_that_its_function_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole, _ = segments(saves_every_third_epoch, tmp_path / "a", 4)
    parts, said = segments(saves_every_third_epoch, tmp_path / "b", 2, 3, 4)
    assert [epoch for epoch, _ in parts] == [1, 2, 1, 2, 3, 4]
    assert set(parts) == set(whole)
    assert said == {}


def test_a_paused_trial_of_a_function_that_saves_nothing_begins_anew_and_says_so(tmp_path):
    parts, said = segments(saves_nothing, tmp_path, 2, 4)
    assert [epoch for epoch, _ in parts] == [1, 2, 1, 2, 3, 4]
    assert said == {"resumption": "saves_nothing saves no checkpoint: its paused trials are trained anew"}


# -- code written for Ray Tune -----------------------------------------------------------------------------------------


def tuned(config):
    """As Ray's guides write it: unseeded, with a checkpoint in each report."""
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["rate"])
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            state = torch.load(os.path.join(folder, "model.pt"))
        model.load_state_dict(state["model"])
        start = state["epoch"] + 1
    for epoch in range(start, 100):
        loss = model(torch.randn(8, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with tempfile.TemporaryDirectory() as folder:
            torch.save({"model": model.state_dict(), "epoch": epoch}, os.path.join(folder, "model.pt"))
            metrics = {"val_loss": loss.item(), "data": {"rows": 8}, "name": tune.get_context().get_trial_name()}
            tune.report(metrics, checkpoint=Checkpoint.from_directory(folder))


def tuned_without_checkpoints(config):
    x = 0.0
    for _ in range(3):
        x += np.random.rand() * config["rate"]
        tune.report({"val_loss": x})
    return {"val_loss": 0.0}


class Tuned(tune.Trainable):
    def setup(self, config):
        self.x = np.random.rand() * config["rate"]

    def step(self):
        self.x += np.random.rand()
        return {"val_loss": self.x, "before": self.training_iteration, "timesteps_this_iter": 8}

    def save_checkpoint(self, folder):
        return {"x": self.x}

    def load_checkpoint(self, checkpoint):
        self.x = checkpoint["x"]


class TunedFiles(Tuned):
    def save_checkpoint(self, folder):
        Path(folder, "x.json").write_text(json.dumps(self.x))

    def load_checkpoint(self, folder):
        self.x = json.loads(Path(folder, "x.json").read_text())


class TunedUnsaved(tune.Trainable):
    def setup(self, config):
        self.x = np.random.rand() * config["rate"]

    def step(self):
        self.x += np.random.rand()
        return {"val_loss": self.x}

    def cleanup(self):
        print("cleaned up")


@pytest.mark.parametrize("found", [tuned, tuned_without_checkpoints, Tuned, TunedFiles, TunedUnsaved])
def test_code_for_ray_tune_keeps_the_contract_unmodified(found):
    verify(given.name_of(found, "tune"), {"rate": 0.1})


def test_a_class_of_tunes_needs_no_kind():
    assert made(Tuned).train_epoch() == made(Tuned, "tune").train_epoch()


class Untested(Curves):
    def test(self):
        raise BadStudy(("final",), "there is no test")


def test_a_trainable_without_a_test_can_keep_the_contract():
    verify(Untested, {"rate": 0.1})


def test_its_numbers_are_the_metrics():
    assert set(made(tuned, "tune").train_epoch()) == {"val_loss", "data/rows"}
    assert set(made(Tuned, "tune").train_epoch()) == {"val_loss", "before", "timesteps_this_iter"}


def test_closing_ends_the_thread_and_leaves_nothing():
    before = set(Path(tempfile.gettempdir()).glob("hpo-*"))
    for found in (tuned, Tuned):
        trial = made(found, "tune")
        trial.train_epoch()
        trial.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "paused function"]
    assert set(Path(tempfile.gettempdir()).glob("hpo-[ft]u*")) <= before


def test_closing_does_not_wait_for_code_that_will_not_end(monkeypatch, caplog):
    monkeypatch.setattr("trainables.adapters.paused.CLOSING_SECONDS", 0.1)
    ends = threading.Event()

    def stubborn(config):
        try:
            tune.report({"val_loss": 1.0})
        finally:
            ends.wait()

    trial = load("tune:" + _known("stubborn", stubborn))({}, task={}, seed=0, max_epochs=4)
    trial.train_epoch()
    trial.close()
    ends.set()
    assert "a function must end when its trial does, but it has not in 0.1 s" in caplog.text


def _known(name, function):
    """Names a function of this process alone: it refers to what no other process could have."""
    given._codes[f"given:{name}@0"], given._objects[f"given:{name}@0"] = b"", function
    return f"given:{name}@0"


# -- the documentation's examples --------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "your-training-code.md"


@pytest.mark.parametrize(
    ("name", "module", "config"),
    [
        ("waves:train", "waves", {"scale": 2.0, "rate": 1.0}),
        ("tune:tuned:train", "tuned", {"rate": 0.1, "noise": 0.1, "steps": 8}),
    ],
)
def test_the_documented_examples_are_short_and_keep_the_contract_as_they_stand(
    name, module, config, tmp_path, monkeypatch
):
    code = re.search(rf"`{module}\.py`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert len(code.splitlines()) < 40
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    verify(name, config)


def test_the_documented_function_of_a_script_keeps_it_by_value():
    code = re.search(r"travels by value: .*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    script = {"__name__": "__main__"}
    exec(compile(code.partition("results = ")[0], "script.py", "exec"), script)
    assert re.fullmatch("given:train@[0-9a-f]{16}", script["study"].trainable)
    verify(script["study"].trainable, {"rate": 0.1})


# -- bad input ---------------------------------------------------------------------------------------------------------


def made(found, kind=""):
    return load(given.name_of(found, kind))({"rate": 0.1}, task={}, seed=0, max_epochs=4)


def train_all(trial):
    for _ in range(4):
        trial.train_epoch()


def returns(config):
    return {"val_loss": 1.0}


def yields_a_number(config):
    yield 0.5


def yields_text(config):
    yield {"val_loss": "low"}


def yields_nan(config):
    yield {"val_loss": float("nan")}


def ends(config):
    yield {"val_loss": 1.0}


def nothing(config):
    pass


def raises(config):
    raise KeyError("layers")


def reports_a_number(config):
    tune.report(0.5)


def exits(config):
    raise SystemExit(3)


def saves_what_is_not_there(config):
    hpo.checkpoint("/not/there")
    yield {"val_loss": 1.0}


@pytest.mark.parametrize(
    ("found", "kind", "error", "message"),
    [
        (returns, "", BadStudy, "returns must yield metrics after each epoch, but it returned {'val_loss': 1.0}"),
        (yields_a_number, "", BadStudy, 'yields_a_number must yield metrics by name, such as {"val_accuracy": 0.5}, but got 0.5'),
        (yields_text, "", BadStudy, "yields_text must yield a number for each metric, but val_loss is 'low'"),
        (yields_nan, "", Diverged, "val_loss must stay finite, but it became nan in epoch 1; lower the learning rate"),
        (ends, "", InvalidConfig, "ends must yield metrics after each of its 4 epochs, but it ended after 1"),
        (saves_what_is_not_there, "", BadStudy, "hpo.checkpoint must be given a file or folder, but there is none at /not/there"),
        (raises, "", KeyError, "'layers'"),
        (nothing, "tune", InvalidConfig, "nothing must report metrics after each of its 4 epochs, but it ended after 0"),
        (returns, "tune", InvalidConfig, "returns must report metrics after each of its 4 epochs, but it ended after 1"),
        (reports_a_number, "tune", BadStudy, "a function must report metrics by name, but it reported 0.5"),
        (yields_nan, "tune", Diverged, "val_loss must stay finite, but it became nan in epoch 1; lower the learning rate"),
        (exits, "tune", RuntimeError, "the function called sys.exit(3)"),
        (raises, "tune", KeyError, "'layers'"),
    ],
)  # fmt: skip
def test_what_a_function_does_wrong_is_told_in_a_sentence(found, kind, error, message):
    trial = made(found, kind)
    with pytest.raises(error) as raised:
        train_all(trial)
    assert str(raised.value) == message
    trial.close()


@pytest.mark.parametrize(
    ("found", "kind", "message"),
    [
        (lambda: iter(()), "", "lambda must take a configuration, and by name any of seed, resume, epoch, task, max_epochs"),
        (lambda config, data: iter(()), "", "missing a required argument: 'data'"),
        (Path, "tune", "must be a function or a tune.Trainable, but Path is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_refused_before_anything_is_trained(found, kind, message):
    with pytest.raises(BadTrainable) as error:
        load(given.name_of(found, kind))
    assert message in str(error.value)


def test_a_pause_leaves_the_random_generators_of_the_process_alone():
    np.random.seed(1)
    expected = np.random.rand(3)
    np.random.seed(1)
    trial = made(network)
    found = []
    for _ in range(3):
        trial.train_epoch()
        found.append(np.random.rand())
    assert found == list(expected)
