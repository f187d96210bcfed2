"""The contract of trainables: ours and the documented example keep it, and broken ones are found out."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from trainables.contract import verify
from trainables.curves import Curves

ROOT = Path(__file__).parents[2]
DIGITS = {
    "data": {"name": "digits", "train": 60, "validation": 60, "augment": "flips_crops"},
    "model": {"name": "digits_net"},
}
CASES = {
    "curves": ({"learning_rate": 0.01, "cost": 2}, {"data": {}}),
    "mlp": ({"layers": 1, "units_1": 8, "dropout": 0.2}, {"data": {"name": "synthetic_10", "train": 500}}),
    "image_classifier": ({"image_size": 16, "finetuned_layers": 4, "dropout": 0.2}, DIGITS),
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", sorted(CASES))
def test_ours_keep_it(name):
    config, task = CASES[name]
    verify(name, config, task=task)


def test_the_documented_example_of_some_twenty_lines_passes_its_documented_test(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "reference" / "trainables.md").read_text()
    code, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "boosting.py").write_text(code)
    (tmp_path / "checks_boosting.py").write_text(test)
    monkeypatch.syspath_prepend(str(tmp_path))
    import_module("checks_boosting").test_my_trainable()
    body = code[code.index("class ") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 22
    sys.modules.pop("checks_boosting", None)
    sys.modules.pop("boosting", None)


def test_the_documented_study_loads(tmp_path):
    from hpo.study.study import Study

    text = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "reference" / "trainables.md").read_text(), re.DOTALL)[0]
    (tmp_path / "boosting.yaml").write_text(text)
    assert Study.load(tmp_path / "boosting.yaml").trainable == "boosting:Boosting"


DRAWS = iter(range(1, 1000))


class Forgetful(Curves):
    """Does not restore the epoch."""

    def load(self, directory):
        pass


class Global(Curves):
    """Depends on what else happened in the process."""

    def train_epoch(self):
        return {**super().train_epoch(), "val_accuracy": next(DRAWS) / 1000}


class Tensors(Curves):
    """Returns a metric that is no plain number."""

    def train_epoch(self):
        return {"val_accuracy": torch.tensor(0.5)}


class Trained(Curves):
    """Trains while it is tested."""

    def test(self):
        super().train_epoch()
        return {"test_accuracy": 0.5}


class Free(Curves):
    """Declares epochs that take no time."""

    @staticmethod
    def epoch_cost(config):
        return 0.0


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Forgetful, "saved, loaded, trained 2: epoch 3 must give the same metrics"),
        (Global, "trained again: epoch 1 must give the same metrics"),
        (Tensors, "a metric must be a plain number"),
        (Trained, "trained on after a test: epoch 3"),
        (Free, "epoch_cost must be a positive number of ticks, but got 0.0"),
    ],
)
def test_what_breaks_it_is_found_out(broken, message):
    with pytest.raises(AssertionError, match=message):
        verify(broken, {"learning_rate": 0.01})
