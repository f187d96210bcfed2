"""Looking into a model in a process that ends: the same refusals at the same places, and no torch in the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import command, environment

from trainables import apart
from trainables.errors import BadStudy, NotHere

STUDY = """
study: images
trainable: image_classifier
data: {name: digits, train: 30, validation: 500, test: 500}
model: {name: digits_net, weights: DEFAULT}
space:
  finetuned_layers: {type: choice, values: [4, 20, all]}
fixed: {batch_size: 8, image_size: 32}
budget: {epochs: 16, max_epochs: 4}
methods: [random]
"""
DRIVER = """
import sys
from hpo.errors import StudyError
from hpo.live.validation import validate
from hpo.study.study import Study
try:
    validate(Study.load("study.yaml"), elsewhere={elsewhere})
    print("valid")
except StudyError as error:
    print(error)
assert "torch" not in sys.modules
"""


class Unportable(Exception):
    """Cannot be made of one argument."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def unportable() -> None:
    raise Unportable("one", "two")


def not_here() -> None:
    raise NotHere(("model", "weights"), "gone")


@pytest.fixture
def without_torch(monkeypatch):
    """As in a driver; the other process finds this file."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.parametrize(
    ("old", "new", "elsewhere", "says"),
    [
        (
            "20,",
            "200,",
            False,
            "study.yaml:7:48: finetuned_layers must be at most 25, the layers of digits_net, or all",
        ),
        (
            "DEFAULT",
            "gone/w.pth",
            False,
            "study.yaml:5:27: model.weights must name a file that exists, but there is none",
        ),
        ("DEFAULT", "gone/w.pth", True, "valid"),
    ],
)
def test_a_driver_looks_into_a_model_without_importing_torch(tmp_path, old, new, elsewhere, says):
    assert old in STUDY
    (tmp_path / "study.yaml").write_text(STUDY.replace(old, new))
    paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    script = f"import sys; sys.path[:] = {paths!r}\n{DRIVER.format(elsewhere=elsewhere)}"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(says)


def test_values_and_errors_come_back_as_they_are(without_torch):
    assert apart.called("math:hypot", 3.0, 4.0) == 5.0
    assert apart.called("os:getppid") == os.getpid()
    with pytest.raises(NotHere) as refused:
        apart.called("test_apart:not_here")
    assert (refused.value.location, str(refused.value)) == (("model", "weights"), "gone")
    assert isinstance(refused.value, BadStudy)
    with pytest.raises(RuntimeError, match="Unportable: one and two"):
        apart.called("test_apart:unportable")


def test_what_a_library_prints_does_not_spoil_the_answer(without_torch, capfd):
    assert apart.called("builtins:print", "a word") is None
    assert capfd.readouterr() == ("", "a word\n")


def test_a_process_that_dies_is_an_error(without_torch):
    with pytest.raises(RuntimeError, match=r"the process that calls os:_exit must answer, but it ended with 9"):
        apart.called("os:_exit", 9)


def test_ctrl_c_ends_a_check_and_its_process_without_a_word_of_python(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    check = subprocess.Popen(
        command("check", tmp_path / "study.yaml"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    children = Path(f"/proc/{check.pid}/task/{check.pid}/children")
    deadline = time.monotonic() + 120
    while not (child := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # until it imports torch
    os.killpg(check.pid, signal.SIGINT)
    _, err = check.communicate(timeout=60)
    assert check.returncode == 130
    assert "Traceback" not in err

    def lives() -> bool:
        try:
            return Path(f"/proc/{child[0]}/stat").read_text().split()[2] not in "ZX"
        except OSError:
            return False

    while lives() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(), "killed, whoever collects it"


def test_a_process_that_has_torch_calls_the_function_itself():
    import torch

    assert torch.__name__ in sys.modules
    assert apart.called("os:getpid") == os.getpid()
