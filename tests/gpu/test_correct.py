"""Fine-tuning on a GPU: every option trains, as on a CPU; paused, resumed, kept, probed or captured, it trains the same.

Without a GPU a part of the cases runs on the CPU, where most of these comparisons must hold bit for bit; with HPO_GPU_WHOLE
set, all of them.
"""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from reuse import SMALL_VIT, calibrate
from torchvision.ops import StochasticDepth

from trainables import backbones, data, feed
from trainables.errors import Diverged
from trainables.image_classifier import ImageClassifier
from trainables.machine import Machine
from trainables.pretrained import normalization
from trainables.sections import Data

pytestmark = pytest.mark.usefixtures("one_thread")

CUDA = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not CUDA, reason="no GPU")
WHOLE = CUDA or "HPO_GPU_WHOLE" in os.environ
DETERMINISTIC = {"deterministic": True}
EXACT = {**DETERMINISTIC, "finetuned_layers": "all"}  # where equal bits are asked for, however much rounding would grow
EXACTLY = {"default": False, "deterministic": True} if CUDA else {"on a CPU": True}
exactness = pytest.mark.parametrize("exactly", EXACTLY.values(), ids=EXACTLY)
MODELS = ("digits_net", "mobilenet_v2", "resnet50", "efficientnet_b0", "vit_b_16")

# Where training begins in networks with batch statistics. Their gradients grow towards the first layers while the weights
# are not trained, and rounding with them: trained whole, two ways to compute a convolution on one CPU end 3 percent apart.
LATE = {"mobilenet_v2": 30, "resnet50": 20, "efficientnet_b0": 30}

# The largest relative differences of a loss that rounding may make. Sums of float32 in another order differ by some 1e-6
# in a step. The learning rates here are low, and what is trained begins late, so that two to four epochs of a few steps do
# not amplify that a thousandfold: two ways to compute a convolution on one CPU end 7e-4 apart at most.
SAME_DEVICE = 1e-3  # the same kernels, whose atomic additions come in any order
OTHER_DEVICE = 5e-3  # other kernels: a CPU's and a GPU's, or those for other batch sizes
ROUNDED = 5e-2  # bfloat16 has 8 bits: 4e-3 for each value

Metrics = dict[str, float]
Config = dict[str, Any]

# -- models, tasks, curves ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def task_of(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Returns a function that makes a task of a model: digits for digits_net, coloured shapes for the others.

    Weights are digits_net's own, and calibrated ones for networks with batch statistics.
    """
    files: dict[str, str] = {}

    def calibrated(name: str) -> str:
        if name not in files:
            model = backbones.build(name, 4, seed=0)
            images = data.load(Data("image_folder", str(shapes)), image_size=64).train.images
            machine = Machine(torch.device("cpu"), False, False, normalization(name, "none"))
            calibrate(model, machine.prepare(images))
            files[name] = str(tmp_path_factory.mktemp("weights") / f"{name}.pth")
            torch.save(model.state_dict(), files[name])
        return files[name]

    def make(name: str, about: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        if name == "digits_net":
            source: dict[str, Any] = {"name": "digits", "train": 96, "validation": 40, "test": 40}
            model = {"name": name}
        else:
            source = {"name": "image_folder", "root": str(shapes)}
            model = {"name": name, "weights": "none" if name.startswith("vit") else calibrated(name)}
        return {"data": source | dict(about or {}), "model": model, **more}

    return make


def config_of(name: str, **more: Any) -> Config:
    """A configuration without dropout, whose last batch is smaller than the others."""
    size = {"image_size": 16} if name == "digits_net" else {"image_size": 32}
    shape = SMALL_VIT if name.startswith("vit") else {}
    common = {"batch_size": 20, "learning_rate": 1e-4, "dropout": 0.0, "finetuned_layers": LATE.get(name, "all")}
    return {**common, **size, **shape, **more}


def classifier(config: Config, task: Mapping[str, Any], max_epochs: int = 4) -> ImageClassifier:
    return ImageClassifier(config, task=task, seed=0, max_epochs=max_epochs)


def trained(model: ImageClassifier, epochs: int) -> list[Metrics]:
    return [plain(model.train_epoch()) for _ in range(epochs)]


def curve(config: Config, task: Mapping[str, Any], epochs: int = 2) -> list[Metrics]:
    return trained(classifier(config, task), epochs)


def plain(metrics: Mapping[str, float]) -> Metrics:
    return {name: value for name, value in metrics.items() if "second" not in name}


def farthest(one: list[Metrics], other: list[Metrics]) -> float:
    """Returns the largest relative difference of a loss; those of accuracy are whole images, and follow."""
    pairs = [(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in ("loss", "val_loss")]
    return max(abs(a - b) / max(abs(b), 1e-2) for a, b in pairs)


def check(one: list[Metrics], other: list[Metrics], within: float) -> float:
    """Asserts that the losses are as close as that; returns how close they are. Curves that are equal fail as well as none."""
    found = farthest(one, other)
    assert found <= within, f"losses must agree within {within}, but differ by {found:.2e}: {one} and {other}"
    return found


@contextmanager
def full_float32() -> Iterator[None]:
    """TF32 is off until exit: its 10 bits would hide any other difference."""
    places = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = False
    try:
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


@contextmanager
def on_the_cpu() -> Iterator[None]:
    """No GPU is found until exit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@contextmanager
def no_depth_dropped() -> Iterator[None]:
    """Stochastic depth, which efficientnet_b0 always has, lets everything through: a CPU and a GPU draw other numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StochasticDepth, "forward", lambda self, input: input)
        yield


# -- compilation first: it takes longest --------------------------------------------------------------------------


@needs_gpu
def test_compiled_it_trains_the_same(task_of, measured):
    config, task = config_of("digits_net", optimizer="sgd", momentum=0.9), task_of("digits_net")
    with full_float32():
        found = check(curve({**config, "compile": True}, task), curve(config, task), OTHER_DEVICE)
    measured(
        "digits_net, compiled / not: largest relative difference of a loss", found, "", f"at most {OTHER_DEVICE}", True
    )


# -- resumed in another process -----------------------------------------------------------------------------------

RESUME = """
import json, sys
import torch
from trainables.image_classifier import ImageClassifier
torch.set_num_threads(1)
config, task, folder = json.loads(sys.argv[1])
made = ImageClassifier(config, task=task, seed=0, max_epochs=4)
made.load(folder)
print(json.dumps([made.train_epoch() for _ in range(2)]))
"""
STOPPING = {"patience": 9, "metric": "val_loss", "mode": "min"}
RESUMED: dict[str, tuple[str, Config, dict[str, Any]]] = {
    "digits_net, adam": ("digits_net", {"optimizer": "adam", "dropout": 0.2}, {}),
    "mobilenet_v2, 9 layers, rmsprop, flips_crops": (
        "mobilenet_v2",
        {"finetuned_layers": 9, "optimizer": "rmsprop", "momentum": 0.5, "learning_rate": 1e-5, "dropout": 0.2},
        {"about": {"augment": "flips_crops"}},
    ),
    "vit_b_16, adamw, best weights": ("vit_b_16", {"optimizer": "adamw"}, {"early_stopping": STOPPING}),
    "resnet50, sgd, one_cycle": ("resnet50", {"optimizer": "sgd", "momentum": 0.9, "schedule": "one_cycle"}, {}),
    "efficientnet_b0, two stages, clipped": (
        "efficientnet_b0",
        {"optimizer": "sgd", "head_epochs": 3, "head_batch_size": 24, "clip_norm": 1.0},
        {},
    ),
}


@exactness
@pytest.mark.parametrize("case", RESUMED if WHOLE else list(RESUMED)[:2])
def test_saved_and_loaded_in_another_process_it_trains_on_as_without_the_pause(
    case, exactly, task_of, tmp_path, measured
):
    name, more, about = RESUMED[case]
    config, task = config_of(name, **(EXACT if exactly else {}) | more), task_of(name, **about)
    whole = curve(config, task, 4)
    first = classifier(config, task)
    found = trained(first, 2)
    first.save(tmp_path)
    command = [sys.executable, "-c", RESUME, json.dumps([config, task, str(tmp_path)])]
    child = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert child.returncode == 0, child.stderr
    found += map(plain, json.loads(child.stdout.splitlines()[-1]))
    if exactly:
        assert found == whole
    else:
        found_difference = check(found, whole, SAME_DEVICE)
        measured(f"resumed / straight, {case}: difference", found_difference, "", f"at most {SAME_DEVICE}", True)


# -- every option on every model ----------------------------------------------------------------------------------

Option = tuple[Config, dict[str, Any], float | None]  # the tolerance against a CPU; None where the draws differ
OPTIONS: dict[str, Option] = {
    "adam": ({"optimizer": "adam", "learning_rate": 1e-5}, {}, OTHER_DEVICE),
    "adamw": ({"optimizer": "adamw", "learning_rate": 1e-5, "weight_decay": 1e3}, {}, OTHER_DEVICE),
    "adadelta": ({"optimizer": "adadelta", "learning_rate": 1e-2}, {}, OTHER_DEVICE),
    "rmsprop": ({"optimizer": "rmsprop", "momentum": 0.5, "learning_rate": 1e-6}, {}, OTHER_DEVICE),
    "sgd": ({"optimizer": "sgd", "weight_decay": 10.0}, {}, OTHER_DEVICE),
    "momentum": ({"optimizer": "sgd", "momentum": 0.9}, {}, OTHER_DEVICE),
    "nesterov": ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, {}, OTHER_DEVICE),
    "cosine": ({"optimizer": "sgd", "schedule": "cosine"}, {}, OTHER_DEVICE),
    "one_cycle": ({"optimizer": "sgd", "schedule": "one_cycle"}, {}, OTHER_DEVICE),
    "paper001": ({"optimizer": "sgd"}, {"about": {"augment": "paper001"}}, ROUNDED),  # turned pixels are rounded
    "flips_crops": ({"optimizer": "sgd"}, {"about": {"augment": "flips_crops"}}, OTHER_DEVICE),
    "randaugment": ({"optimizer": "sgd"}, {"about": {"augment": "randaugment"}}, None),
    "trivialaugment": ({"optimizer": "sgd"}, {"about": {"augment": "trivialaugment"}}, None),
    "bf16": ({"optimizer": "sgd", "bf16": True}, {}, ROUNDED),
    "contiguous": ({"optimizer": "sgd", "channels_last": False}, {}, OTHER_DEVICE),
    "head alone": ({"optimizer": "sgd", "finetuned_layers": 0, "learning_rate": 1e-3}, {}, OTHER_DEVICE),
    "9 layers": ({"optimizer": "sgd", "finetuned_layers": 9}, {}, OTHER_DEVICE),
    "folds": ({"optimizer": "sgd"}, {"about": {"folds": 2, "validation": None}}, OTHER_DEVICE),
    "two stages": ({"optimizer": "sgd", "head_epochs": 1, "head_batch_size": 9}, {}, OTHER_DEVICE),
    "unfreezing": ({"optimizer": "sgd", "unfreeze_every": 1, "unfreeze_rate_factor": 0.5}, {}, OTHER_DEVICE),
    "clip_norm": ({"optimizer": "sgd", "clip_norm": 0.1, "learning_rate": 1e-2}, {}, OTHER_DEVICE),
    "label_smoothing": ({"optimizer": "sgd", "label_smoothing": 0.1}, {}, OTHER_DEVICE),
    "class_weights": ({"optimizer": "sgd"}, {"about": {"class_weights": "log"}}, OTHER_DEVICE),
    "dropout": ({"optimizer": "sgd", "dropout": 0.3}, {}, None),
    "not reused": ({"optimizer": "sgd", "finetuned_layers": 9, "reuse_activations": False}, {}, OTHER_DEVICE),
}
FEW = ("momentum", "9 layers", "unfreezing")  # what other models than digits_net are tried with on a CPU
TWIN = (*FEW, "adam", "clip_norm", "paper001")  # what large networks do on a CPU, too, of the machine with a GPU
CASES = [(name, option) for name in MODELS for option in OPTIONS if WHOLE or name == "digits_net" or option in FEW]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_every_option_trains_and_as_on_a_cpu(name, option, task_of):
    more, about, within = OPTIONS[option]
    if name in ("resnet50", "efficientnet_b0") and option not in TWIN:
        within = None
    rate = 2e-4 if name in LATE else 5e-3  # so that a wrong rate, of a schedule too, shows in the loss
    config, task = config_of(name, **{"learning_rate": rate} | more), task_of(name, **about)
    with full_float32(), no_depth_dropped():
        model = classifier(config, task)
        before = {key: value.clone() for key, value in model.models[0].model.state_dict().items()}
        found = trained(model, 2)
        tested = model.test()
        expected = found
        if within is not None and CUDA:
            with on_the_cpu():
                expected = curve(config, task)
    moved = [key for key, value in model.models[0].model.state_dict().items() if not torch.equal(value, before[key])]
    assert any("weight" in key for key in moved), "training must move the weights"
    assert all(math.isfinite(value) for row in found for value in row.values())
    assert sum(map(sum, tested["confusion"])) == len(model.models[0].dataset.test) * len(model.models)
    assert found[0]["loss"] != found[1]["loss"]
    check(found, expected, within or 0.0)


@pytest.mark.parametrize(("name", "layers"), [*((name, "late") for name in MODELS), *((name, "all") for name in LATE)])
@needs_gpu
def test_gpu_and_cpu_curves_agree(name, layers, task_of, measured):
    """At a size of images with more than one place at the end. All layers of a network with batch statistics take two
    steps with all images, at a low rate; the loss before the first step must agree like any other."""
    config = config_of(name, optimizer="sgd", momentum=0.9, learning_rate=2e-4 if name in LATE else 5e-3)
    whole = layers == "all" and name in LATE
    if name in LATE:
        config["image_size"] = 96
    if whole:
        config |= {"finetuned_layers": "all", "batch_size": 48, "learning_rate": 1e-5}
    with full_float32(), no_depth_dropped():
        found = curve(config, task_of(name), 2)
        with on_the_cpu():
            expected = curve(config, task_of(name), 2)
    assert found[0]["loss"] == pytest.approx(expected[0]["loss"], rel=OTHER_DEVICE)
    within = ROUNDED if whole else OTHER_DEVICE
    difference = check(found, expected, within)
    measured(f"{name}, {layers}, GPU / CPU: difference", difference, "", f"at most {within}", True)


@needs_gpu
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "efficientnet_b0"])
def test_at_160_pixels_training_lowers_the_loss(name, bf16, task_of):
    config = config_of(name, image_size=160, batch_size=16, optimizer="adam", learning_rate=3e-4, bf16=bf16)
    found = curve({**config, "dropout": 0.2}, task_of(name), 4)
    assert found[-1]["loss"] < found[0]["loss"]


@pytest.mark.parametrize("name", MODELS if WHOLE else MODELS[:2])
def test_the_test_is_that_of_the_best_epoch(name, task_of):
    """Whichever of the rule's two directions makes an epoch before the last the best one."""
    config = config_of(name, optimizer="sgd", learning_rate=1e-2 if name == "digits_net" else 1e-3, **DETERMINISTIC)
    without = classifier(config, task_of(name))
    losses, tests = zip(
        *[(without.train_epoch()["val_loss"], without.test()["test_loss"]) for _ in range(3)], strict=True
    )
    mode, choose = ("min", min) if losses[2] > min(losses) else ("max", max)
    best = losses.index(choose(losses))
    assert best < 2
    stopping = {"patience": 9, "metric": "val_loss", "mode": mode}
    model = classifier(config, task_of(name, early_stopping=stopping))
    trained(model, 3)
    found = model.test()["test_loss"]
    assert found == pytest.approx(tests[best], rel=SAME_DEVICE if CUDA else 1e-6)
    assert found != pytest.approx(tests[2], rel=2 * SAME_DEVICE), "the last epoch's"
    assert trained(model, 1)[0]["val_loss"] != losses[2], "it trains on from the last epoch, not from the best"


# -- ways to train the same ---------------------------------------------------------------------------------------

WAYS: dict[str, tuple[str, Config, dict[str, Any]]] = {
    "digits_net": ("digits_net", {"optimizer": "adam"}, {}),
    "mobilenet_v2, 9 layers": ("mobilenet_v2", {"optimizer": "sgd", "momentum": 0.9, "finetuned_layers": 9}, {}),
    "mobilenet_v2, head": ("mobilenet_v2", {"optimizer": "sgd", "finetuned_layers": 0, "dropout": 0.3}, {}),
    "resnet50, dropout, flips_crops": (
        "resnet50",
        {"optimizer": "sgd", "clip_norm": 1.0, "dropout": 0.3, "schedule": "cosine"},
        {"about": {"augment": "flips_crops", "class_weights": "log"}},
    ),
    "efficientnet_b0, bf16": ("efficientnet_b0", {"optimizer": "sgd", "bf16": True}, {}),
    "vit_b_16, rmsprop": ("vit_b_16", {"optimizer": "rmsprop", "learning_rate": 1e-5}, {}),
    "vit_b_16, adadelta": ("vit_b_16", {"optimizer": "adadelta", "label_smoothing": 0.1}, {}),
}
SOME = list(WAYS) if WHOLE else ["digits_net", "mobilenet_v2, 9 layers"]


@exactness
@pytest.mark.parametrize("case", SOME)
def test_captured_steps_train_as_single_kernels_do(case, exactly, task_of, measured, caplog):
    name, more, about = WAYS[case]
    config, task = config_of(name, **(EXACT if exactly else {}) | more), task_of(name, **about)
    captured, single = (curve({**config, "graphs": on}, task, 3) for on in (True, False))
    assert "cannot be recorded" not in caplog.text
    if exactly:
        assert captured == single
    else:
        within = ROUNDED if config.get("bf16") else SAME_DEVICE
        found = check(captured, single, within)
        measured(f"captured / single kernels, {case}: difference", found, "", f"at most {within}", True)


@pytest.mark.parametrize("layers", [0, 9, 40])
@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "resnet50", "efficientnet_b0", "vit_b_16"] if WHOLE else ["mobilenet_v2"]
)
def test_kept_activations_train_as_whole_passes_do(name, layers, task_of):
    layers = min(layers, 12) if name.startswith("vit") else layers
    config = config_of(name, optimizer="sgd", momentum=0.9, finetuned_layers=layers)
    with full_float32():
        kept, whole = (curve({**config, "reuse_activations": on}, task_of(name)) for on in (True, False))
    check(kept, whole, OTHER_DEVICE if CUDA else 1e-5)


@pytest.mark.parametrize("case", SOME)
def test_a_probe_changes_nothing_of_what_is_trained(case, task_of):
    name, more, about = WAYS[case]
    config, task = config_of(name, **EXACT | more), task_of(name, **about)
    probed = classifier(config, task)
    probed.probe()
    found, expected = trained(probed, 2), curve(config, task)
    assert found == expected


@exactness
def test_trials_of_one_process_do_not_matter_to_each_other(exactly, task_of):
    """Other models, sizes and cuts, in turns and one after another, and one that fails in its middle."""
    extra = DETERMINISTIC if exactly else {}
    first = config_of("mobilenet_v2", optimizer="sgd", finetuned_layers=9, **extra), task_of("mobilenet_v2")
    second = config_of("mobilenet_v2", optimizer="adam", learning_rate=1e-5, batch_size=16, image_size=64, **extra)
    other = config_of("digits_net", optimizer="sgd", momentum=0.9, **extra), task_of("digits_net")
    alone = [curve(*first), curve(*other)]
    curve(second, first[1])
    one, two = classifier(*first), classifier(*other)
    in_turns = [trained(model, 1)[0] for _ in range(2) for model in (one, two)]
    failing = classifier({**first[0], "learning_rate": 1e30}, first[1])
    with pytest.raises(Diverged):
        trained(failing, 3)
    again = [curve({**first[0], "batch_size": 12}, first[1]), curve(*first), curve(*other)][1:]
    for found in ([in_turns[0::2], in_turns[1::2]], again):
        for mine, expected in zip(found, alone, strict=True):
            if exactly:
                assert mine == expected
            check(mine, expected, SAME_DEVICE)


# -- memory and waits ---------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[str, Config, dict[str, Any]]] = {
    "mobilenet_v2, all, 128 px": ("mobilenet_v2", {"image_size": 128, "batch_size": 40}, {}),
    "mobilenet_v2, head, 160 px": ("mobilenet_v2", {"image_size": 160, "batch_size": 16, "finetuned_layers": 0}, {}),
    "mobilenet_v2, 9 layers, flips_crops, 160 px": (
        "mobilenet_v2",
        {"image_size": 160, "batch_size": 48, "finetuned_layers": 9},
        {"about": {"augment": "flips_crops"}},
    ),
    "resnet50, all, bf16, 160 px": ("resnet50", {"image_size": 160, "batch_size": 40, "bf16": True}, {}),
    "efficientnet_b0, all, sgd, 128 px": (
        "efficientnet_b0",
        {"image_size": 128, "batch_size": 32, "optimizer": "sgd", "momentum": 0.9},
        {},
    ),
}


@needs_gpu
@pytest.mark.parametrize("case", KINDS)
def test_a_probe_takes_the_memory_of_an_epoch(case, task_of, measured):
    name, more, about = KINDS[case]
    config, task = config_of(name, **more), task_of(name, **about)

    def peak(act: Callable[[ImageClassifier], Any]) -> float:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        act(classifier(config, task))
        return torch.cuda.max_memory_reserved() / 2**20

    epoch, probe = peak(ImageClassifier.train_epoch), peak(ImageClassifier.probe)
    fine = 0.9 * epoch <= probe <= 1.6 * epoch
    measured(f"probe / epoch ({epoch:,.0f} MiB), {case}", probe / epoch, "ratio", "0.9 to 1.6", fine)
    assert fine, f"the probe must take 0.9 to 1.6 of an epoch's {epoch:,.0f} MiB, but took {probe:,.0f} MiB"


WAITS: dict[str, tuple[str, Config, dict[str, Any], bool]] = {  # the last: whether the images lie on the GPU
    "mobilenet_v2, all": ("mobilenet_v2", {"batch_size": 4}, {}, True),
    "mobilenet_v2, head": ("mobilenet_v2", {"batch_size": 4, "finetuned_layers": 0}, {}, True),
    "mobilenet_v2, 9 layers, not on the GPU": ("mobilenet_v2", {"batch_size": 4, "finetuned_layers": 9}, {}, False),
    "mobilenet_v2, all, not on the GPU": ("mobilenet_v2", {"batch_size": 4}, {}, False),
    "flips_crops": ("mobilenet_v2", {"batch_size": 4}, {"about": {"augment": "flips_crops"}}, True),
    "flips_crops, not on the GPU": ("mobilenet_v2", {"batch_size": 4}, {"about": {"augment": "flips_crops"}}, False),
    "paper001": ("mobilenet_v2", {"batch_size": 12}, {"about": {"augment": "paper001"}}, True),
    "randaugment": ("mobilenet_v2", {"batch_size": 4}, {"about": {"augment": "randaugment"}}, True),
    "trivialaugment": ("mobilenet_v2", {"batch_size": 4}, {"about": {"augment": "trivialaugment"}}, True),
    "class weights": ("resnet50", {"batch_size": 4}, {"about": {"class_weights": "log"}}, True),
    "clip_norm": ("resnet50", {"batch_size": 4, "clip_norm": 1.0, "optimizer": "sgd"}, {}, True),
    "bf16, dropout": ("efficientnet_b0", {"batch_size": 4, "bf16": True, "dropout": 0.2}, {}, True),
    "adadelta": ("vit_b_16", {"batch_size": 4, "optimizer": "adadelta"}, {}, True),
    "rmsprop, one_cycle": ("digits_net", {"batch_size": 4, "optimizer": "rmsprop", "schedule": "one_cycle"}, {}, True),
    "single kernels": ("mobilenet_v2", {"batch_size": 4, "graphs": False}, {}, True),
}
MOST_WAITS = 3  # in an epoch of 12 steps and more: its end reads the metrics


@needs_gpu
@pytest.mark.parametrize("case", WAITS)
def test_no_step_of_an_epoch_waits_for_the_gpu(case, task_of, monkeypatch, measured):
    name, more, about, resident = WAITS[case]
    if not resident:
        monkeypatch.setattr(feed, "RESIDENT_SHARE", 0.0)
    made = classifier(config_of(name, **more), task_of(name, **about))
    made.train_epoch()  # captures, and chooses kernels
    (model,) = made.models
    assert (model.training.rows.device.type == "cuda") is resident
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with model.machine.at_work(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model._train()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if "synchroniz" in str(warning.message)]
    fine = len(waits) <= MOST_WAITS
    measured(f"waits in an epoch's steps, {case}", len(waits), "count", f"at most {MOST_WAITS}", fine)
    places = sorted({f"{Path(w.filename).name}:{w.lineno}" for w in waits})
    assert fine, f"at most {MOST_WAITS} waits are for the epoch's metrics, but there were {len(waits)}: {places}"


# -- which GPUs a process sees ------------------------------------------------------------------------------------

SEES = """
import sys
from hpo.worker.devices import hide_what_was_not_given
hide_what_was_not_given(sys.argv[1:])
import torch
print(torch.cuda.is_available(), torch.cuda.device_count())
"""


@needs_gpu
def test_a_process_that_was_given_no_gpu_sees_none():
    def seen(*given: str) -> str:
        return subprocess.run([sys.executable, "-c", SEES, *given], capture_output=True, text=True, check=True).stdout

    assert seen().split() == ["False", "0"]
    assert seen("0").split()[0] == "True"
