"""Whole studies on a GPU, by `hpo run`: trials that share it, a worker that is killed, how busy it is, paper 001's space B.

The studies that only have to be right play side by side, as those of several users of one GPU do, while those that are
measured play alone. Without a GPU everything plays one after the other, with small images, trials that ask for none, and no
bars. A study that does not end in its time is killed with every process that it started.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # after tests, which has a conftest of its own

from faulty_cluster import living
from study_runs import METRICS, Answer, Gauge, Played, Process, farthest, run, run_command, span, spooled

from tests.bench.on_gpu.pictures import pictures
from trainables.settings import Settings

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

BEGAN = time.monotonic()
LIMIT = float(os.environ.get("HPO_GPU_LIMIT", 130))  # seconds of this file; space B gets what the others leave
MARGIN = 15.0  # seconds that are left over at the end: stopping a study and Ray takes some
LEAST = 25.0  # seconds in which space B's study trains anything at all: Ray, torch and CUDA have to start
GPU = torch.cuda.is_available()
DEVICE = torch.cuda.get_device_name(0) if GPU else "cpu"
FOUR, EIGHT = ("4 trials a GPU", "8 trials a GPU") if GPU else ("2 workers", "2 workers")
PIXELS = 160 if GPU else 32
PATIENCE = 110.0 if GPU else 240.0  # seconds for a study among others
DETERMINISTIC = "deterministic" in {field.name for field in fields(Settings)}
# Between processes of a GPU, float32 sums may be taken in another order. After all epochs a loss may be this far off, as a
# share of itself or of 1, and an accuracy by as many of all images.
LOSS_TOLERANCE, ACCURACY_TOLERANCE = 0.05, 0.03
MOST = 6 if GPU else 4  # epochs of a trial of the studies that only have to be right
COMPARED = ("packed", "alone", "killed")
BENCH = Path(__file__).parents[1] / "bench"
PLAIN = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from plain_loop import plain_epochs
for case in json.loads(sys.argv[2]):
    print(json.dumps(plain_epochs(Path(sys.argv[3]), **case)), flush=True)
"""

Measured = Callable[..., None]


# -- the studies ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """What all studies of this file share: images, weights, a folder, and the environment of their commands."""

    images: Path
    weights: str
    folder: Path
    temporary: Path

    def variables(self, cache: str = "cache") -> dict[str, object]:
        return {"HPO_CACHE": self.folder / cache, "TMPDIR": self.temporary}

    def study(self, name: str, *, gpus: float, train: float = 1.0, **parts: Any) -> Path:
        """Writes a study of MobileNetV2 on the images, and returns its file."""
        found = {
            "study": name,
            "data": {"name": "image_folder", "root": str(self.images), "train": train},
            "model": {"name": "mobilenet_v2", "weights": self.weights},
            "resources": {"cpus": 1, **({"gpus": gpus} if GPU else {})},
            "metric": "val_accuracy",
            "final": {"retrain": "none"},
            **parts,
        }
        path = self.folder / f"{name}-{gpus:g}.yaml"
        path.write_text(json.dumps(found, indent=1))
        return path

    def play(
        self, study: Path | str, label: str, *more: object, seconds: float = PATIENCE,
        meanwhile: Callable[[Process], None] = lambda process: None,
    ) -> Answer:  # fmt: skip
        """Runs the study into the store of this label.

        Studies that are compared share nothing: each computes the frozen layers' activations itself.
        """
        return run(
            "run", study, "--store", self.store(label), *more, folder=self.folder / label, seconds=seconds,
            variables=self.variables(f"cache-{label}" if label in COMPARED else "cache"), meanwhile=meanwhile,
        )  # fmt: skip

    def store(self, label: str) -> Path:
        return self.folder / label / "store"

    def count(self, split: str) -> int:
        """Returns how many images the split's folder holds."""
        return _count(self.images / split)

    @property
    def some(self) -> int:
        """How many training images the studies have that only have to be right."""
        return min(480 if GPU else 32, self.count("train"))


def _count(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, images: Path, weights: str) -> Iterator[Ground]:
    """Their temporary folder is of their own, and so is the book of the GPU's memory; Ray's sockets need a short path."""
    temporary = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    yield Ground(images.resolve(), weights, tmp_path_factory.mktemp("studies"), temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def small(ground: Ground, gpus: float) -> Path:
    """Eight trials, four by grid and four by random search: with frozen layers and without, deterministic and not."""
    rate: dict[str, Any] = {"type": "float", "low": 3e-4, "high": 3e-3, "log": True, "grid": [1e-3]}
    space: dict[str, Any] = {"learning_rate": rate, "finetuned_layers": {"type": "choice", "values": [9, "all"]}}
    if DETERMINISTIC:
        space["deterministic"] = {"type": "choice", "values": [False, True]}
    else:
        rate["grid"] = [5e-4, 2e-3]
    return ground.study(
        "small", gpus=gpus, train=ground.some, space=space,
        fixed={"optimizer": "sgd", "momentum": 0.9, "batch_size": 16, "image_size": PIXELS},
        budget={"epochs": 4 * MOST, "max_epochs": MOST}, methods=["grid", "random"],
    )  # fmt: skip


def thirds(ground: Ground) -> Path:
    """Nine short trials of a small network, a third of a GPU each or a little less."""
    rate = {"type": "float", "low": 1e-4, "high": 0.03, "log": True}
    return ground.study(
        "thirds", gpus=0.3, data={"name": "digits", "train": 400, "validation": 200, "test": 200},
        model={"name": "digits_net", "weights": "none"}, space={"learning_rate": rate},
        fixed={"batch_size": 8, "image_size": 32, "finetuned_layers": "all"},
        budget={"epochs": 9 * (4 if GPU else 1), "max_epochs": 4 if GPU else 1}, methods=["random"],
    )  # fmt: skip


def greedy(ground: Ground) -> Path:
    """A study whose trials want more GPUs than the machine has."""
    count = torch.cuda.device_count() + 1
    return ground.study(
        "greedy", gpus=count, resources={"cpus": 1, "gpus": max(2, count)}, methods=["random"],
        space={"learning_rate": {"type": "float", "low": 1e-4, "high": 0.03, "log": True}},
        fixed={"image_size": PIXELS}, budget={"epochs": 2, "max_epochs": 1},
    )  # fmt: skip


class Killer:
    """Kills the first worker that has reported an epoch of a trial and has more of it to train."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.row: dict[str, Any] = {}

    def __call__(self, driver: Process) -> None:
        if self.row:
            return
        for row in spooled(self._store, "small"):
            pid = int(row["worker"].rpartition(":")[2])
            if row["epoch"] <= MOST - 2 and pid in living(driver.pid):
                os.kill(pid, signal.SIGKILL)
                self.row = row
                return


@dataclass(frozen=True)
class Wave:
    """The studies that only have to be right."""

    packed: Answer
    alone: Answer
    killed: Answer
    killer: Killer
    thirds: Answer
    refused: Answer
    demonstration: Answer


@pytest.fixture(scope="module")
def wave(ground: Ground) -> Wave:
    """Plays them, on a GPU all at once. `--workers` bounds their local clusters' CPUs: Ray starts a process for each."""
    quarter, eighth, killer = small(ground, 0.25), small(ground, 0.125), Killer(ground.store("killed"))
    plain, json_too = ("--no-report",), ("--no-report", "--format", "json")
    room, less = (8, 4) if GPU else (2, 2)
    budget = ("--seeds", 0) if GPU else ("--seeds", 0, "--budget", 16)  # of the demonstration
    with ThreadPoolExecutor(6 if GPU else 1) as pool:
        begun: dict[str, Future[Answer]] = {
            "packed": pool.submit(ground.play, quarter, "packed", *json_too, "--workers", room),
            "killed": pool.submit(ground.play, eighth, "killed", *json_too, "--workers", room, meanwhile=killer),
            "alone": pool.submit(ground.play, quarter, "alone", *json_too, "--workers", 1),
            "thirds": pool.submit(ground.play, thirds(ground), "thirds", *plain, "--workers", room),
            "refused": pool.submit(ground.play, greedy(ground), "refused", *plain, seconds=40),
            "demonstration": pool.submit(ground.play, "digits", "demonstration", "--workers", less, *budget),
        }
    return Wave(killer=killer, **{name: future.result() for name, future in begun.items()})


# -- right ------------------------------------------------------------------------------------------------------------


def complete(answer: Answer, ground: Ground, label: str, study: str = "small") -> Played:
    """Returns what a study came to. Fails unless it is complete, nothing in it failed, and its store adds up."""
    from hpo.store import verify

    assert answer.code == 0, answer.reason
    played = Played.of(ground.store(label), study)
    assert played.failures == []
    assert verify(str(ground.store(label))) == []
    assert played.data.environment["trained_on"]["device"] == [DEVICE if study != "digits" else "cpu"]
    return played


def test_trials_that_share_the_gpu_complete_their_study(wave: Wave, ground: Ground, measured: Measured) -> None:
    played = complete(wave.packed, ground, "packed")
    found = json.loads(wave.packed.stdout)
    assert [(run["status"], run["charged_epochs"], run["failed_trials"]) for run in found["runs"]] == [
        ("complete", 4 * MOST, 0)
    ] * 2
    assert len(played.workers) <= (4 if GPU else 2)
    measured(f"hpo run of 8 short trials, {FOUR}, beside other studies", wave.packed.seconds, "s")
    measured(f"processes that trained, {FOUR}", len(played.workers), "processes")
    if GPU:
        (book,) = (ground.temporary / f"hpo-memory-{os.getuid()}").glob("gpu*.json")
        peaks = json.loads(book.read_text())["kinds"]
        assert len(peaks) >= 2, "each cut is a kind of its own"
        measured("largest measured peak of a kind of trial", max(peaks.values()) / 1e9, "GB")


def alike(one: Played, other: Played) -> dict[str, float]:
    """Returns how far the metrics are apart. Fails unless both studies were charged for the same trials in one order."""
    assert one.charges == other.charges
    assert one.curves().keys() == other.curves().keys()
    return farthest(one.curves(), other.curves())


def bounds(ground: Ground) -> dict[str, float]:
    """Returns how far each metric may be apart; on a CPU nothing may be."""
    if not GPU:
        return dict.fromkeys(METRICS, 0.0)
    several = {
        "accuracy": 2 / ground.some,
        "val_accuracy": 2 / ground.count("validation"),
    }  # of few images, two of them
    images = {name: max(ACCURACY_TOLERANCE, share) for name, share in several.items()}
    return {"loss": LOSS_TOLERANCE, "val_loss": LOSS_TOLERANCE, **images}


def test_one_worker_comes_to_the_same_comparison(wave: Wave, ground: Ground, measured: Measured) -> None:
    alone = complete(wave.alone, ground, "alone")
    assert len(alone.workers) == 1
    apart, allowed = alike(complete(wave.packed, ground, "packed"), alone), bounds(ground)
    for name in METRICS:
        measured(f"{name}: {FOUR} against one worker, farthest", apart[name], "", f"<= {allowed[name]:.3g}")
    assert all(apart[name] <= allowed[name] + 1e-12 for name in METRICS), f"{apart} must be within {allowed}"


@pytest.mark.skipif(not DETERMINISTIC, reason="there is no hyperparameter deterministic")
def test_deterministic_trials_are_equal_bit_for_bit(wave: Wave, ground: Ground) -> None:
    packed, alone, killed = (Played.of(ground.store(name), "small") for name in COMPARED)
    curves = alone.curves(deterministic=True)
    assert len(curves) >= 2 * MOST, "the grid has two of them"
    assert packed.curves(deterministic=True) == curves
    assert killed.curves(deterministic=True) == curves


def test_a_killed_worker_changes_nothing(wave: Wave, ground: Ground, measured: Measured) -> None:
    killed = complete(wave.killed, ground, "killed")
    assert wave.killer.row, "the study must have been over only after a worker had been killed"
    dead, trial = wave.killer.row["worker"], wave.killer.row["trial"]
    (last,) = (row for row in killed.epochs if (row["trial"], row["epoch"]) == (trial, MOST))
    assert last["worker"] != dead, "another process must have gone on with its trial"
    apart, allowed = alike(complete(wave.packed, ground, "packed"), killed), bounds(ground)
    measured(f"val_accuracy: {EIGHT}, one killed, against {FOUR}, farthest", apart["val_accuracy"], "",
             f"<= {allowed['val_accuracy']:.3g}")  # fmt: skip
    measured(f"hpo run with a killed worker, {EIGHT}", wave.killed.seconds, "s")
    measured(f"processes that trained, {EIGHT}", len(killed.workers), "processes")
    assert all(apart[name] <= allowed[name] + 1e-12 for name in METRICS), f"{apart} must be within {allowed}"


def test_fractions_that_do_not_divide_a_gpu(wave: Wave, ground: Ground, measured: Measured) -> None:
    played = complete(wave.thirds, ground, "thirds", "thirds")
    assert len(played.workers) <= 3
    measured("processes that trained, 0.3 of a GPU a trial", len(played.workers), "processes")


def test_more_gpus_than_the_machine_has_are_refused(wave: Wave, ground: Ground) -> None:
    assert wave.refused.code == 2, wave.refused.reason
    (sentence,) = wave.refused.stderr.strip().splitlines()
    assert "gpu" in sentence.lower()
    assert wave.refused.stdout == ""


def test_the_demonstration_prints_its_table(wave: Wave, ground: Ground, measured: Measured) -> None:
    complete(wave.demonstration, ground, "demonstration", "digits")
    table = wave.demonstration.stdout
    assert f"digits: val_accuracy after {128 if GPU else 16} charged epochs per run" in table
    assert all(method in table for method in ("grid", "random", "bayesian", "asha"))
    measured("hpo run digits, on CPUs", wave.demonstration.seconds, "s")


# -- busy -------------------------------------------------------------------------------------------------------------


def test_the_gpu_is_busy_throughout_full_fine_tuning(ground: Ground, measured: Measured) -> None:
    most, trials = (4, 8) if GPU else (1, 2)
    study = ground.study(
        "busy", gpus=0.125, space={"learning_rate": {"type": "float", "low": 1e-4, "high": 3e-3, "log": True}},
        fixed={"optimizer": "adam", "finetuned_layers": "all", "batch_size": 32, "image_size": PIXELS, "bf16": GPU},
        budget={"epochs": trials * most, "max_epochs": most}, methods=["random"], parallelism=trials,
    )  # fmt: skip
    if not GPU:
        complete(ground.play(study, "busy", "--no-report", "--workers", 2), ground, "busy", "busy")
        pytest.skip("no GPU: the study was played, and nothing measured")
    with Gauge() as gauge:
        answer = ground.play(study, "busy", "--no-report", "--workers", trials)
    epochs = complete(answer, ground, "busy", "busy").epochs
    first, last = span(epochs)
    share = gauge.busy(first, last)
    images = sum(row["images_per_second"] * row["seconds"] for row in epochs if row["finished"] > first)
    what = "full fine-tuning, 8 trials a GPU, batch 32, bf16"
    measured(f"GPU busy, {what}", share, "share", ">= 0.85", share >= 0.85)
    measured(f"images per second, {what}", images / (last - first), "images/s")
    measured(f"GPU memory at its peak, {what}", gauge.peak / 1e9, "GB")
    measured("hpo run of the full fine-tuning study", answer.seconds, "s")


# -- paper 001's space B ----------------------------------------------------------------------------------------------


def space_b(ground: Ground) -> Path:
    """Returns the study of 16 configurations x 25 epochs; on a CPU of 4 x 2."""
    most, trials = (25, 16) if GPU else (2, 4)
    return ground.study(
        "space-b", gpus=0.125,
        space={
            "learning_rate": {"type": "float", "low": 1e-4, "high": 0.03, "log": True},
            "dropout": {"type": "float", "low": 0.01, "high": 0.4},
            "optimizer": {"type": "choice", "values": ["adam", "adadelta", "rmsprop", "sgd"]},
            "finetuned_layers": {"type": "choice", "values": [9, 14, 18, "all"]},
        },
        fixed={"batch_size": 16, "image_size": PIXELS, "bf16": GPU},
        budget={"epochs": trials * most, "max_epochs": most}, methods=["random"], parallelism=8,
        seeds=[2],  # it draws each number of layers four times
    )  # fmt: skip


def drawn(path: Path) -> list[dict[str, Any]]:
    """Returns the configurations that random search proposes in the study."""
    from hpo.game.runs import schedule_of
    from hpo.study.study import Study

    study = Study.load(path)
    schedule = schedule_of(study, study.methods[0], study.seeds[0])
    segments = [schedule.next_segment() for _ in range(study.budget.epochs // study.budget.max_epochs)]
    return [dict(segment.config) for segment in segments if segment is not None]


def plain_seconds(ground: Ground, configs: list[dict[str, Any]], seconds: float) -> dict[Any, float]:
    """Returns the plain loop's seconds of an epoch by finetuned_layers, each with the first such configuration's values.

    It is timed on an even part of the images, and the seconds are scaled to all of them: an epoch is so many equal steps.
    """
    part = pictures(ground.images, ground.folder / "part", {"train": 1024, "validation": 114})
    share = sum(map(ground.count, ("train", "validation"))) / sum(
        _count(part / name) for name in ("train", "validation")
    )
    firsts: dict[Any, Mapping[str, Any]] = {}
    for config in configs:
        firsts.setdefault(config["finetuned_layers"], config)
    cases = [
        {"model": "mobilenet_v2", "image_size": PIXELS, "batch_size": 16, "layers": None if layers == "all" else layers,
         "optimizer": config["optimizer"], "learning_rate": config["learning_rate"], "dropout": config["dropout"],
         "epochs": 2 if GPU else 1, "workers": 12 if GPU else 0}
        for layers, config in firsts.items()
    ]  # fmt: skip
    words = [sys.executable, "-c", PLAIN, str(BENCH), json.dumps(cases), str(part)]
    answer = run_command(words, folder=ground.folder / "plain", seconds=seconds, variables=ground.variables())
    found = [share * median(json.loads(line)) for line in answer.stdout.splitlines()]
    assert len(found) == len(cases), f"the plain loop must have timed {len(cases)} cases: {answer.reason}"
    return dict(zip(firsts, found, strict=True))


def left() -> float:
    """Returns the seconds that space B may still take."""
    return BEGAN + LIMIT - MARGIN - time.monotonic() if GPU else 300.0


class Stopper:
    """Interrupts the study once, as a user does with Ctrl-C, so many seconds after it began."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self.done = False

    def __call__(self, driver: Process) -> None:
        if not self.done and time.monotonic() > self._at:
            self.done = True
            driver.send_signal(signal.SIGINT)


def test_space_b_against_a_plain_loop(ground: Ground, measured: Measured) -> None:
    """The study gets the seconds that are left. Where it needs more, it counts with the epochs that it trained by then."""
    path = space_b(ground)
    if left() < 2 * LEAST:
        pytest.skip(f"no time for it: {left():.0f} s are left of {LIMIT:.0f} s")
    plain = plain_seconds(ground, drawn(path), min(left() - LEAST, 200))
    stopper = Stopper(max(left(), LEAST))
    with Gauge() if GPU else nullcontext() as gauge:
        answer = ground.play(
            path, "space-b", "--no-report", "--workers", 8 if GPU else 2, meanwhile=stopper, seconds=320
        )
    assert answer.code == (130 if stopper.done else 0), answer.reason
    played = Played.of(ground.store("space-b"), "space-b")
    assert played.epochs, f"the study must have trained an epoch: {answer.reason}"
    counts = Counter(_layers(row["config_finetuned_layers"]) for row in played.epochs)
    assert counts.keys() <= plain.keys(), "the study must have trained what was drawn"
    first, last = span(played.epochs)
    wall = last - answer.began if stopper.done else answer.seconds
    alone = sum(count * plain[layers] for layers, count in counts.items())
    ratio = alone / wall
    what = f"space B, {counts.total()} of {played.data.definition['budget']['epochs']} epochs"
    bar = {"bar": ">= 6", "ok": ratio >= 6} if GPU else {}
    measured(f"{what}: the plain loop's time / the command's", ratio, "ratio", **bar)
    if last > first:  # without what starting costs, which counts less in a longer study
        later = sum(plain[_layers(row["config_finetuned_layers"])] for row in played.epochs if row["finished"] > first)
        measured(f"{what}: the same from the first epoch's arrival on", later / (last - first), "ratio")
    measured(f"{what}: the whole command", wall, "s")
    if gauge is not None:
        measured(f"{what}: GPU busy", gauge.busy(first, last), "share")
    measured(f"{what}: from Ray's start to the last charge", last - _begun(ground.store("space-b") / "space-b"), "s")
    measured(f"{what}: the plain loop, estimated", alone, "s")
    for layers, seconds in plain.items():
        measured(f"plain loop's epoch, finetuned_layers {layers}, {counts[layers]} in the study", seconds, "s")


def _layers(stored: object) -> object:
    """Returns a value of finetuned_layers as the study has it: the store keeps choices of mixed types as text."""
    return stored if stored == "all" else int(str(stored))


def _begun(study: Path) -> float:
    """Returns the unix time at which the driver, with Ray up, began to hand out work."""
    events = [json.loads(line) for line in (study / "driver.jsonl").read_text().splitlines()]
    return next(float(event["time"]) for event in events if event["event"] == "begun")
