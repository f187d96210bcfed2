"""Proposes a study for somebody's images, with the reason for each value in a comment. Pure: returns the file's text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.census import Census

WIDTH = 80
UNEQUAL = 3  # times as many images in the largest class as in the smallest: accuracy then hides the small ones
SMALL = 1000  # training images that two CPU cores train on in a short time

Part = tuple[str, str]  # a comment and the lines of YAML below it


@dataclass(frozen=True)
class Images:
    """What a proposal depends on: what was counted in the folder `root`, and how many GPUs there are."""

    root: str
    found: Census
    gpus: int = 0

    @property
    def quick(self) -> bool:
        """Returns whether an epoch is so short that a study may have many."""
        return self.gpus > 0 or self.found.train <= SMALL

    @property
    def unequal(self) -> bool:
        """Returns whether some class is much rarer than another."""
        return self.found.largest >= UNEQUAL * self.found.smallest


def for_images(name: str, images: Images, weights: str = "DEFAULT") -> list[Part]:
    """Returns the parts of a study that fine-tunes a pretrained network on a folder of images."""
    return [
        ("", f"study: {name}\ntrainable: image_classifier"),
        _data(images),
        _model(images, weights),
        _space(images),
        _fixed(images),
        *_game(8, 16 if images.quick else 8, quick=images.quick),
        _resources(images),
        _metric(images),
        ("Where the results go: a folder, or s3://bucket/prefix.", "store: results"),
    ]


def for_digits(name: str) -> list[Part]:
    """Returns the parts of a study of the digits that come with scikit-learn: no files, no network."""
    return [
        ("", f"study: {name}\ntrainable: image_classifier"),
        (
            "1,797 real handwritten digits of 8x8 pixels, 10 classes. Three of each class to train on make the task hard "
            "enough to tell methods apart; 500 are for validation and 500 for the test.",
            "data: {name: digits, train: 30, validation: 500, test: 500, seed: 0}",
        ),
        (
            "A small network that comes with the package, pretrained on printed letters.",
            "model: {name: digits_net, weights: DEFAULT}",
        ),
        (
            "What is searched. `grid` is what grid search tries: 2 x 1 x 2 x 4 = 16 points. finetuned_layers is how many "
            "of the network's last layers are trained; the rest stays frozen.",
            "space:\n"
            "  learning_rate: {type: float, low: 1.0e-4, high: 0.03, log: true, grid: [0.001, 0.01]}\n"
            "  dropout: {type: float, low: 0.01, high: 0.4, grid: [0.2]}\n"
            "  optimizer: {type: choice, values: [adam, adadelta, rmsprop, sgd], grid: [adam, rmsprop]}\n"
            "  finetuned_layers: {type: choice, values: [4, 10, 16, all]}",
        ),
        ("What is not searched. 32 px is this network's size.", "fixed: {batch_size: 8, image_size: 32}"),
        *_game(16, 8, quick=True),
        ("One CPU core per trial: this network is too small for more.", "resources: {cpus: 1}"),
        (
            "The share of validation images that are classified correctly. `difference` is the smallest difference between "
            "methods that would matter to you.",
            "metric: val_accuracy\ndifference: 0.01",
        ),
        ("Where the results go: a folder, or s3://bucket/prefix.", "store: results"),
    ]


def text(head: str, parts: Iterable[Part]) -> str:
    """Returns the study file: the head as its first comment, then each part below its comment."""
    blocks = [head.strip("\n")]
    blocks += [f"{_comment(about)}{lines}" for about, lines in parts]
    return "\n\n".join(blocks) + "\n"


def _comment(about: str) -> str:
    lines = textwrap.wrap(about, WIDTH - 2, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def _data(images: Images) -> Part:
    splits = _splits(images)
    lines = ["data:", "  name: image_folder", f"  root: {json.dumps(images.root, ensure_ascii=False)}", *splits[1]]
    lines.append("  fit: crop")
    about = (
        f"{len(images.found.classes)} classes ({_named(images.found.classes)}): {images.found.train:,} images to train on, "
        f"{images.found.validation:,} for validation and {images.found.test:,} for the test. {splits[0]} "
        "Of each image the middle square is taken, which keeps its proportions; `squeeze` takes all of it."
    )
    if images.found.broken:
        lines.append("  corrupt: skip")
        about += (
            f" At least {images.found.broken:,} of the files are no readable images: they are skipped, not refused."
        )
    if images.unequal:
        lines.append("  class_weights: balanced")
        about += (
            f" The rarest class has {images.found.smallest:,} training images, the most common one {images.found.largest:,}: "
            "weights in the loss make up for it."
        )
    return about, "\n".join(lines)


def _splits(images: Images) -> tuple[str, list[str]]:
    """Returns where validation and test images come from: in words, and as lines of the data section."""
    missing = [part for part in ("validation", "test") if part not in images.found.ready]
    if not missing:
        return "The folders train, validation and test are used as they are.", []
    lines = [f"  {part}: 0.2" for part in missing]
    if "all" in images.found.ready:
        return (
            "They are drawn from the class folders: a fifth of all for the test, a fifth of the rest for validation.",
            [*lines, "  seed: 0"],
        )
    return (
        f"There is no folder {' and none '.join(missing)}: a fifth of train is set apart for each.",
        [*lines, "  seed: 0"],
    )


def _named(classes: Sequence[str], limit: int = 60) -> str:
    """Returns the first classes by name, in a form that a comment can hold."""
    shown: list[str] = []
    for name in classes:
        plain = name if name.isprintable() else ascii(name)
        if shown and len(", ".join([*shown, plain])) > limit:
            return f"{', '.join(shown)}, ..."
        shown.append(plain if len(plain) <= limit else f"{plain[: limit - 3]}...")
    return ", ".join(shown)


def _model(images: Images, weights: str) -> Part:
    name, why = (
        ("resnet50", "accurate, and quick enough on a GPU")
        if images.gpus
        else ("mobilenet_v2", "the usual choice without a GPU: small, and pretrained on ImageNet")
    )
    downloaded = weights == "DEFAULT"
    source = "DEFAULT downloads its weights once; a file of them needs no network. " if downloaded else ""
    given = weights if downloaded else json.dumps(weights, ensure_ascii=False)
    about = f"{name}: {why}. {source}`hpo models` lists the others."
    return about, f"model:\n  name: {name}\n  weights: {given}"


def _space(images: Images) -> Part:
    values, grid = _layers(images)
    about = (
        "What is searched. `grid` is what grid search tries: 2 x 2 x 1 x 2 = 8 points. finetuned_layers is how many of the "
        "network's last layers are trained beside its new head; the frozen rest is computed only once"
    )
    about += "." if images.quick and images.gpus else ", which saves most of the time without a GPU."
    return about, (
        "space:\n"
        "  learning_rate: {type: float, low: 3.0e-4, high: 0.01, log: true, grid: [0.001, 0.003]}\n"
        "  dropout: {type: float, low: 0.1, high: 0.5, grid: [0.2, 0.4]}\n"
        "  weight_decay: {type: float, low: 0.001, high: 0.1, log: true, grid: [0.01]}\n"
        f"  finetuned_layers: {{type: choice, values: {values}, grid: {grid}}}"
    )


def _layers(images: Images) -> tuple[str, str]:
    """Returns the values and the grid of finetuned_layers: borders between the networks' last blocks."""
    if images.gpus:
        return "[0, 30, 86, all]", "[30, 86]"  # resnet50: the head, its last stage, its last two stages
    if images.quick:
        return "[0, 19]", "[0, 19]"  # mobilenet_v2: the head, its last two blocks
    return "[0, 19, 35]", "[19, 35]"


def _fixed(images: Images) -> Part:
    most = 224 if images.gpus else 96
    size = max(32, min(most, images.found.side // 32 * 32))
    batch = min(64 if images.gpus else 32, 1 << max(1, (images.found.train // 4).bit_length() - 1))
    seen = f"the images' shorter side is about {images.found.side:,} px"
    why = (
        f"{seen}, and {most} px are {'what the network was made for' if images.gpus else 'quick without a GPU'}"
        if size == most
        else f"{seen}, and the network halves it five times"
    )
    about = (
        f"What is not searched. image_size {size}: {why}. batch_size {batch}: "
        + ("the usual size. " if batch >= 32 else f"several steps an epoch with {images.found.train:,} images. ")
        + "A one-cycle learning rate and smoothed labels suit data sets of this kind."
    )
    return about, (
        "fixed:\n"
        f"  image_size: {size}\n"
        f"  batch_size: {batch}\n"
        "  optimizer: adamw\n"
        "  schedule: one_cycle\n"
        "  label_smoothing: 0.1"
    )


def _game(configurations: int, longest: int, *, quick: bool) -> list[Part]:
    """Returns the budget, the methods and the seeds."""
    epochs = configurations * longest
    seeds = "[0, 1, 2, 3, 4, 5]" if quick else "[0, 1, 2]"
    return [
        (
            f"Every run may train {epochs} epochs, and no trial more than {longest}: enough for {configurations} "
            f"configurations to the end, and so for the whole grid.",
            f"budget: {{epochs: {epochs}, max_epochs: {longest}}}",
        ),
        (
            "The baseline of the textbooks, the baseline that is hard to beat, a model of what was seen, and early "
            "stopping: ASHA trains many configurations for an epoch and goes on with the best. `hpo methods` lists others.",
            "methods: [grid, random, bayesian, {asha: {min_epochs: 1, eta: 4}}]",
        ),
        (
            "Each method runs once per seed. "
            + (
                "Six are the fewest with which a method can be shown to be better."
                if quick
                else "Three give a first picture; a method can be shown to be better with six or more. Add them later: "
                "nothing is trained twice."
            ),
            f"seeds: {seeds}",
        ),
    ]


def _resources(images: Images) -> Part:
    if images.gpus:
        return "Two trials share a GPU.", "resources: {cpus: 2, gpus: 0.5}"
    return "One CPU core per trial; there is no GPU here.", "resources: {cpus: 1}"


def _metric(images: Images) -> Part:
    last = "`difference` is the smallest difference between methods that would matter to you."
    if images.unequal:
        about = "The mean of the classes' F1 scores: accuracy would hide how the rare classes fare."
        return f"{about} {last}", "metric: val_f1\ndifference: 0.01"
    return f"The share of validation images that are classified correctly. {last}", (
        "metric: val_accuracy\ndifference: 0.01"
    )
