"""What goes wrong on a GPU: memory that runs out is the configuration's fault, a dead context the process's; others train on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import RANDOM_ON_GPUS, hpo
from without_ray import dispatching, play_to_the_end

from hpo.worker.training import Assignment, Report, Training

CUDA = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not CUDA, reason="no GPU")

# -- in this process ----------------------------------------------------------------------------------------------


@pytest.fixture
def training(tmp_path: Path, shapes: Path, one_thread: None) -> Callable[..., Report]:
    """Returns a function that trains a trial of two epochs as a worker does, and returns its last report."""

    def train(trial: str, **config: Any) -> Report:
        common = {"optimizer": "sgd", "learning_rate": 1e-4, "finetuned_layers": "all", "image_size": 160}
        task = {
            "trainable": "image_classifier", "data": {"name": "image_folder", "root": str(shapes)},
            "model": {"name": "resnet50", "weights": "none"},
        }  # fmt: skip
        given = Assignment(
            trial=trial, config={**common, **config}, task=task, seed=0, max_epochs=2, stop=2, known=0,
            checkpoints=str(tmp_path / "checkpoints"),
        )  # fmt: skip
        made = Training(given)
        report = made.step()
        while not report.done:
            report = made.step()
        made.close()
        return report

    return train


@needs_gpu
@pytest.mark.parametrize("graphs", [True, False])
def test_a_trial_that_needs_more_memory_than_there_is_fails_and_the_next_one_trains(training, graphs):
    small = {"batch_size": 4, "image_size": 32, "graphs": graphs}
    sound = training("sound", **small)
    assert sound.failure is None
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 900 * 2**20  # resnet50 and its gradients need 200 MiB, 48 images 2 GiB
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        report = training("large", batch_size=48, graphs=graphs)
        assert report.failure is not None, "48 images of 160 px must not fit into 900 MiB"
        assert (report.failure["kind"], report.failure["epoch"]) == ("memory", 0)
        assert "must fit into memory" in report.failure["reason"]
        after = training("after", **small)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert after.failure is None, "within the same bounds, in the same process"
    assert after.records[-1]["metrics"]["loss"] == pytest.approx(sound.records[-1]["metrics"]["loss"], rel=1e-2)


# -- in a process of its own --------------------------------------------------------------------------------------

BEGINS = """
import json, os, sys
import torch
from hpo.worker.training import Assignment, Training
from trainables.curves import Curves

def tell(**found):
    print(json.dumps(found), flush=True)
    os._exit(0)  # nothing is freed on a dead device
"""
ENDS = """
class Lost(Curves):
    def train_epoch(self):
        if self.epoch == 2:
            lose()
        return super().train_epoch()
    def close(self):
        tell(closed=True)

given = Assignment(trial="0123456789abcdef", config={}, task={"trainable": "curves", "data": {}}, seed=0, max_epochs=8,
                   stop=8, known=0, checkpoints=sys.argv[1], resumable=False)
report = Training(given, make=lambda name, arguments: Lost(arguments.pop("config"), **arguments)).step()
tell(epochs=len(report.records), failure=report.failure)
"""
ASSERTS = """
def lose():
    labels = torch.full((8,), 99, device="cuda")
    torch.nn.functional.cross_entropy(torch.zeros(8, 4, device="cuda"), labels).item()
"""
ASSERTS_IN_A_GRAPH = """
def lose():
    labels, logits = torch.zeros(8, dtype=torch.int64, device="cuda"), torch.zeros(8, 4, device="cuda")
    out = torch.zeros((), device="cuda")
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        out.copy_(torch.nn.functional.cross_entropy(logits, labels))
        with torch.cuda.graph(graph, stream=stream):
            out.copy_(torch.nn.functional.cross_entropy(logits, labels))
        labels.fill_(99)
        graph.replay()
        out.item()
"""
READS_FREED_MEMORY = """
import ctypes, re
def lose():
    loaded = re.findall(r"\\S*libcudart\\.so\\S*", open("/proc/self/maps").read())
    values = torch.zeros(2**28, device="cuda")
    torch.cuda.synchronize()
    if not loaded:
        tell(skipped="the CUDA runtime is not a library of its own")
    code = ctypes.CDLL(loaded[0]).cudaFree(ctypes.c_void_p(values.data_ptr()))
    if code:
        tell(skipped=f"cudaFree answered {code}")
    values.add_(1)
    torch.cuda.synchronize()
"""


def child(code: str, *arguments: object) -> dict[str, Any]:
    """Returns what the program tells, in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=40, check=False
    )
    assert answer.stdout.strip(), f"it must tell something, but ended with {answer.returncode}: {answer.stderr[-1500:]}"
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


@needs_gpu
@pytest.mark.parametrize("way", ["asserts", "asserts in a graph", "reads freed memory"])
def test_a_dead_context_is_the_fault_of_the_process(way, tmp_path):
    code = {"asserts": ASSERTS, "asserts in a graph": ASSERTS_IN_A_GRAPH, "reads freed memory": READS_FREED_MEMORY}[way]
    found = child(BEGINS + code + ENDS, tmp_path)
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["epochs"] == 2
    assert (found["failure"]["kind"], found["failure"]["epoch"]) == ("process", 2), found["failure"]


FULL = """
import json, os, sys
import torch
from trainables.errors import OutOfMemory
from trainables.faults import explained
from hpo.worker.training import _kind

a, out = torch.ones(256, 256, device="cuda"), torch.empty(256, 256, device="cuda")
held = []
for size in (2**30, 2**26, 2**21, 2**20 - 512):
    while True:
        try:
            held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            break
found = {"kind": "none", "said": ""}
try:
    with explained():
        torch.mm(a, a, out=out)
        torch.cuda.synchronize()
except Exception as error:
    found = {"kind": _kind(error), "said": str(error)[:400], "class": type(error.__cause__ or error).__name__}
held.clear()
torch.cuda.empty_cache()
try:
    found["after"] = float(torch.mm(a, a)[0, 0])
except Exception as error:
    found["after"] = f"{type(error).__name__}: {error}"[:400]
print(json.dumps(found), flush=True)
os._exit(0)
"""


@needs_gpu
@pytest.mark.usefixtures("whole_card")
def test_a_library_without_room_on_the_gpu_is_out_of_memory_and_works_again_with_room(measured):
    found = child(FULL)
    if found["kind"] == "none":
        pytest.skip("cuBLAS began although the GPU was full")
    measured(f"cuBLAS on a full GPU: {found['class']}: {' '.join(found['said'].split())[-80:]}", 1, "failure")
    assert found["kind"] == "memory", found
    assert found["after"] == 256.0, "the process stays sound"


# -- on a real cluster --------------------------------------------------------------------------------------------

LOSING = """
import os
from pathlib import Path

import torch

from trainables.curves import Curves


class Losing(Curves):
    def train_epoch(self):
        mark = Path(os.environ["MARKS"]) / "lost"
        if self.epoch == 2 and not mark.exists():
            mark.touch()
            if not torch.cuda.is_available():
                raise RuntimeError("CUDA error: device-side assert triggered")
            numbers = torch.zeros(4, device="cuda")
            float(numbers[torch.full((4,), 9, device="cuda")].sum())
        if torch.cuda.is_available():  # every trial computes on the GPU
            assert float(torch.ones(64, device="cuda").sum()) == 64
        return super().train_epoch()
"""


def test_a_study_hands_the_trial_of_a_dead_context_out_anew_and_leaves_the_others_alone(tmp_path, monkeypatch):
    from hpo.store import read, verify
    from hpo.study.study import Study

    (tmp_path / "losing.py").write_text(LOSING)
    monkeypatch.setenv("MARKS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    gpus = 0.25 if CUDA else 0
    study, undisturbed = tmp_path / "study.yaml", tmp_path / "undisturbed.yaml"
    study.write_text(RANDOM_ON_GPUS.format(trainable="losing:Losing", gpus=gpus))
    undisturbed.write_text(RANDOM_ON_GPUS.format(trainable="curves", gpus=gpus))
    answer = hpo("run", study, "--store", tmp_path / "store", "--workers", 2, "--format", "json", "--no-report", "--quiet",
                 timeout=40 if CUDA else 240)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    (run,) = json.loads(answer.stdout)["runs"]
    assert (tmp_path / "lost").exists()
    assert (run["charged_epochs"], run["failed_trials"]) == (36, 0)
    data = read(str(tmp_path / "store"), "instant")
    assert data.failures.num_rows == 0
    assert len(set(data.epochs["worker"].to_pylist())) >= 2, "another process took its place"
    assert verify(str(tmp_path / "store")) == []
    play_to_the_end(dispatching(Study.load(undisturbed, store=str(tmp_path / "here"))))
    mine, expected = (
        [
            (row["order"], row["value"])
            for row in sorted(read(str(place), "instant").charges.to_pylist(), key=lambda r: r["order"])
        ]
        for place in (tmp_path / "store", tmp_path / "here")
    )
    assert mine == expected, "every charge, in its order, as in a study in which nothing happened"
