"""Packing by memory: known kinds reserve what was measured, no one waits for ever, dead processes hold nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from hpo.worker.memory_book import MemoryBook, started
from hpo.worker.training import Assignment, Training
from trainables.image_classifier import ImageClassifier
from trainables.memory import memory

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def processes():
    """Live processes to reserve for."""
    found = [subprocess.Popen(["sleep", "100"]) for _ in range(4)]
    yield found
    for process in found:
        process.kill()
        process.wait()


@pytest.fixture
def books(tmp_path, processes):
    return [MemoryBook("gpu 0", 1000, tmp_path, process.pid) for process in processes]


def in_a_thread(act):
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(0.5)
    return thread


def test_a_probe_gets_the_whole_device_and_its_kind_then_what_it_measured(books):
    a, b, c, d = books
    assert a.take("x") == 1000
    waiting = in_a_thread(lambda: b.take("x"))
    assert waiting.is_alive()
    a.learn("x", 300)
    waiting.join(30)
    assert c.take("x") == 330
    waiting = in_a_thread(lambda: d.take("x"))
    assert waiting.is_alive(), "four would take 1320 of 1000"
    c.give_back()
    waiting.join(30)
    assert not waiting.is_alive()


def test_an_unknown_kind_is_guessed_from_the_largest_known_one(books):
    a, b, *_ = books
    a.take("x")
    a.learn("x", 300)
    assert b.take("y") == 495
    b.learn("y", 600)
    assert b.known() == {"x": 300, "y": 600}
    b.learn("y", 100)
    assert b.known()["y"] == 600, "the peak of a kind is its largest"


def test_a_small_trial_does_not_overtake_a_large_one_that_waits(books):
    a, b, c, _ = books
    a.take("x")
    a.learn("x", 300)
    large = in_a_thread(lambda: b.take("x", whole=True))
    small = in_a_thread(lambda: c.take("x"))
    assert large.is_alive()
    assert small.is_alive()
    a.give_back()
    large.join(30)
    assert small.is_alive()
    b.give_back()
    small.join(30)
    assert not small.is_alive()


def test_dead_processes_hold_nothing_and_a_damaged_book_begins_anew(books, processes, tmp_path):
    a, b, *_ = books
    a.take("x")
    processes[0].kill()
    processes[0].wait()
    assert started(processes[0].pid) == ""
    assert b.take("x") == 1000
    next(tmp_path.glob("*.json")).write_text('{"kinds": {"x"')
    assert b.known() == {}


WORKER = """
import sys, time, json
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from hpo.worker import memory_book
from hpo.worker.training import Training, Assignment
memory_book.folder = lambda: Path(sys.argv[2])
given = Assignment(**json.loads(sys.argv[3]))
training = Training(given)
report = training.step()
while not report.done:
    report = training.step()
assert report.failure is None, report.failure
"""

HUNGRY = """
import time
from pathlib import Path
from trainables.memory import Cpu

class Room(Cpu):
    def __init__(self):
        self.total = 450 * 2**20

class Hungry:
    memory = Room
    def __init__(self, config, *, task, seed, max_epochs):
        self.log = Path(task["data"]["log"]) / str(seed)
        self.held = bytearray(config["mb"] * 2**20)
        self.log.write_text(f"{time.monotonic()} ")
    @staticmethod
    def memory_kind(config, task):
        return str(config["mb"])
    def train_epoch(self):
        time.sleep(0.1)
        return {"val_accuracy": 1.0}
    def save(self, folder):
        Path(folder, "state").write_text("nothing")
    def load(self, folder):
        pass
    def close(self):
        self.log.write_text(self.log.read_text() + str(time.monotonic()))
"""


def test_processes_share_the_memory_and_never_hold_more(tmp_path):
    """Each takes 60 MiB on top of Python's own: no more run at a time than fit, and all have their turn."""
    (tmp_path / "hungry.py").write_text(HUNGRY)
    paths = [str(tmp_path), str(Path(__file__).parents[2])]
    task = {"trainable": "hungry:Hungry", "data": {"log": str(tmp_path)}, "fixed": {}, "early_stopping": None}
    workers = []
    for seed in range(6):
        given = {"trial": f"{seed:016x}", "config": {"mb": 60}, "task": task, "seed": seed, "max_epochs": 3, "stop": 3,
                 "known": 0, "checkpoints": str(tmp_path / "c"), "packed": True}  # fmt: skip
        command = [sys.executable, "-c", WORKER, json.dumps(paths), str(tmp_path / "books"), json.dumps(given)]
        workers.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for worker in workers:
        _, said = worker.communicate(timeout=100)
        assert worker.returncode == 0, said
    spans = [tuple(map(float, (tmp_path / str(seed)).read_text().split())) for seed in range(6)]
    together = max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)
    ((_, peak),) = MemoryBook("cpu", 1, tmp_path / "books").known().items()
    assert peak > 60 * 2**20
    assert together <= max(1, 450 * 2**20 // peak)


def test_a_trainable_without_a_memory_kind_is_not_held_up(tmp_path):
    task = {"trainable": "curves", "data": {}, "model": {}, "fixed": {}, "early_stopping": None}
    given = Assignment("0" * 16, {"learning_rate": 0.01}, task, 1, 4, 4, 0, str(tmp_path), packed=True)
    training = Training(given)
    assert training.step().done


class Watched:
    """A trainable that logs its calls in `said`, each with the kinds that the book knows by then."""

    said: ClassVar[list[tuple[str, dict[str, int]]]] = []
    peak: ClassVar[int] = 0

    def __init__(self, config, *, task, seed, max_epochs):
        self.kind = config["kind"]
        self.tell("built")

    def tell(self, what):
        book = MemoryBook("watched", 1000)
        kinds = {kind.split()[-1]: peak for kind, peak in book.known().items()}
        Watched.said.append((f"{self.kind} {what}", kinds))

    def probe(self):
        self.tell("probed")
        Watched.peak = {"x": 300, "y": 600, "z": 2000}[self.kind]
        if self.kind == "z":
            raise MemoryError("no room")

    def train_epoch(self):
        self.tell("trained")
        Watched.peak += 50  # an epoch takes more than its step
        return {"val_accuracy": 0.5}

    def save(self, folder):
        Path(folder, "state").write_text("nothing")

    @staticmethod
    def memory_kind(config, task):
        return config["kind"]

    @staticmethod
    def memory():
        nothing = {"reset": lambda: None, "release": lambda: None}
        return SimpleNamespace(device="watched", total=1000, peak=lambda: Watched.peak, **nothing)


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Returns a function that trains a trial of a kind for two epochs, and returns its calls and its last report."""
    monkeypatch.setattr("hpo.worker.memory_book.folder", lambda: tmp_path / "books")
    monkeypatch.setattr("trainables.load", lambda name: Watched)

    def train(kind, trial):
        Watched.said.clear()
        Watched.peak = 300
        task = {"trainable": "watched", "data": {}, "model": {}, "fixed": {}, "early_stopping": None}
        training = Training(Assignment(trial, {"kind": kind}, task, 1, 2, 2, 0, str(tmp_path), packed=True))
        report = training.step()
        while not report.done:
            report = training.step()
        return list(Watched.said), report

    return train


def test_a_probe_makes_a_kind_known_before_its_first_epoch_and_only_the_first_trial_is_probed(watched):
    said, _ = watched("x", "0" * 16)
    assert said == [("x built", {}), ("x probed", {}), ("x trained", {"x": 300}), ("x trained", {"x": 350})]
    said, _ = watched("x", "1" * 16)
    assert [what for what, _ in said] == ["x built", "x trained", "x trained"], "a known kind pays nothing"
    assert said[0][1] == {"x": 400}, "epochs have corrected what its probe measured"
    said, _ = watched("y", "2" * 16)
    assert said[2] == ("y trained", {"x": 400, "y": 600})


def test_a_probe_that_runs_out_of_memory_fails_its_trial_before_the_first_epoch_and_leaves_the_kind_unknown(watched):
    said, report = watched("z", "0" * 16)
    assert [what for what, _ in said] == ["z built", "z probed"]
    assert report.failure == {"epoch": 0, "kind": "memory", "reason": "no room"}
    assert report.records == []
    said, _ = watched("x", "1" * 16)
    assert said[0] == ("x built", {}), "its memory is free, and its kind is still unknown"


def test_the_image_classifier_is_measured_before_it_trains_and_trains_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    monkeypatch.setattr("hpo.worker.memory_book.folder", lambda: tmp_path / "books")
    known = []
    train_epoch = ImageClassifier.train_epoch

    def watched(self):
        known.append(MemoryBook(memory().device, 1).known())
        return train_epoch(self)

    monkeypatch.setattr(ImageClassifier, "train_epoch", watched)
    task = {
        "trainable": "image_classifier",
        "data": {"name": "digits", "train": 40, "validation": 20, "test": 20},
        "model": {"name": "digits_net", "weights": "none"},
        "fixed": {"image_size": 16, "batch_size": 16, "dropout": 0.3},
        "early_stopping": None,
    }
    curves = []
    for packed in (True, False):
        folder = str(tmp_path / f"packed {packed}")
        training = Training(Assignment("0" * 16, {"finetuned_layers": "all"}, task, 1, 2, 2, 0, folder, packed=packed))
        records = []
        while not (report := training.step()).done:
            records += report.records
        curves.append([{**row["metrics"], "images_per_second": 0} for row in [*records, *report.records]])
    assert len(curves[0]) == 2
    assert curves[0] == curves[1], "a probe changes nothing"
    (peak,) = known[0].values()
    assert peak > 10 * 2**20
