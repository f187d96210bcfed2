"""What an epoch of the image classifier costs, in epochs of the whole network: counted from its graph, never measured.

Pure but for a look into a model, whose counts are kept in the cache directory. Imports no torch.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hpo.errors import HpoError
from hpo.files import write_whole
from trainables import apart
from trainables.cache import cache_directory
from trainables.sections import Data, Model
from trainables.settings import Settings
from trainables.task import Task

FORMAT = 2  # of kept counts: raise it when others are counted
CLASSES = 10  # of the head: what it costs hardly depends on them
SIZES = 16  # most image sizes of a range that are counted; those between follow from their neighbours
IMAGES = 1000  # of training, where the study names no number
VALIDATION = 0.25  # images that are validated for each training image, by default: the split itself is not looked at

# What Python and PyTorch do around the arithmetic, in multiplications that take as long on one CPU thread. Fitted once to
# the figures of tests/bench/bench_cost.py.
MOVED = 12.0  # for each number of a step's value, which is read and written
CALL = 2.5e6  # for each step of the graph and each batch, whatever their size
BACKWARD = 2  # calls of a step's backward pass
CALLS = 4  # as much as so many steps: a batch's loss, its measures, the optimizer
IMAGE = 8e5  # to fetch an image's row, and to count what became of it

# Numbers read and written in an optimizer's step, for each parameter: gradient, parameter, and the averages of each.
OPTIMIZER = {"sgd": 3.0, "rmsprop": 5.0, "adam": 7.0, "adamw": 7.0, "adadelta": 7.0}
AVERAGE = 3.0  # the same of a moving average: read, written, and the parameter read
MERGED = 150.0  # for each adapted weight and pass: W + B A and its gradient, but for the products with B and A


@dataclass(frozen=True)
class Counts:
    """The work of a model's forward pass, for one image of one size; in multiplications and what takes as long.

    Each list is by the number of last layers that are trained: the head alone, 1, ..., all. `trained`: from the first
    trained step on. `frozen`: from there back to the place where activations can be kept. `backward`: the backward pass,
    as much for a step's inputs as for its parameters. `parameters`: trained ones. `below`: from the image to that place.
    `steps`: of the graph, from the first trained one on; `steps_before`: all others. With adapters, `adapted`: numbers of
    their layers' weights, and `sides`: their rows and columns, whose product with the rank is the adapters' parameters.
    """

    trained: tuple[float, ...]
    frozen: tuple[float, ...]
    below: tuple[float, ...]
    backward: tuple[float, ...]
    parameters: tuple[float, ...]
    adapted: tuple[float, ...]
    sides: tuple[float, ...]
    steps: tuple[float, ...]
    steps_before: tuple[float, ...]

    def place(self, layers: int | None) -> int:
        """Returns the place in the lists for so many trained layers (None: all)."""
        return len(self.trained) - 1 if layers is None else min(layers, len(self.trained) - 1)


def work(
    counts: Counts, settings: Settings, *, kept: bool, held_out: Counts | None = None, images: int = IMAGES
) -> float:
    """Returns the work of an epoch for each training image. `kept`: whether activations below the cut may be kept.

    `held_out`: of validation images, by default of the same size. `images`: how many are trained on. Stages count as the
    last one: an epoch of the head alone, or before all layers are thawed, costs less than this.
    """
    i = counts.place(settings.finetuned_layers)
    forward, ridge = counts.trained[i] + counts.frozen[i], settings.optimizer == "ridge"
    below, before = (0.0, 0.0) if kept else (counts.below[i], counts.steps_before[i])
    back, calls = (0.0, 0.0) if ridge else (counts.backward[i], BACKWARD * counts.steps[i])
    batch = CALL * (CALLS + counts.steps[i] + calls + before)
    batch += 0.0 if ridge else _stepped(counts, settings, i)
    passes = forward + below + back + IMAGE + batch / settings.batch_size
    if ridge:  # the features' products and their equations in double precision, and a pass that measures the solution
        features = counts.parameters[i] / CLASSES
        passes += 2 * features**2 + features**3 / images + forward + below + IMAGE
    shown = held_out or counts  # validation images are the same in every epoch, but a study may forbid to keep anything
    lower = 0.0 if settings.reuse_activations else shown.below[i]
    return passes + VALIDATION * (shown.trained[i] + shown.frozen[i] + lower)


def _stepped(counts: Counts, settings: Settings, i: int) -> float:
    """Returns the work of a batch's share in an optimizer's step, and of merging its adapters."""
    numbers = OPTIMIZER[settings.optimizer] + (2.0 if settings.momentum else 0.0)
    numbers += AVERAGE if settings.ema_decay else 0.0
    parameters = counts.parameters[i] + settings.lora_rank * counts.sides[i]
    merging = counts.adapted[i] * (MERGED + 3 * settings.lora_rank)  # B A forward, and for the gradients of both
    return parameters * numbers / settings.accumulation_steps + merging


def relative(
    config: Mapping[str, Any], task: Task, space: Mapping[str, Any], altered: Callable[[], bool] = lambda: False
) -> float:
    """Returns the work of an epoch of the configuration, where 1 is an epoch of the base.

    The base trains all layers at the study's largest image size, with the configuration's batch size and optimizer
    (adam in place of ridge). `altered` tells whether training images differ from epoch to epoch for a reason that the
    sections do not have. A model that cannot be looked into counts as if all of its layers took equally long at every size; an
    impossible configuration costs 1: it fails before its first epoch, which nobody is charged for.
    """
    try:
        settings, data, model = Settings.of(config), Data.of(task), Model.of(task)
        shape = tuple(sorted({**model.architecture, **settings.architecture}.items()))
        sizes = _sizes(space, "image_size", settings.image_size)
        shown = _sizes(space, "test_image_size", settings.test_image_size)  # 0: as large as training images
        every = tuple(sorted({*sizes, *shown} - {0}))
        plain = _counted(model.name, shape, every, "")
        known = _counted(model.name, shape, every, settings.lora_targets) if settings.lora_rank else plain
        changing = data.augment != "none" or bool(settings.mixup_alpha or settings.cutmix_alpha) or altered()
    except HpoError:
        plain = {}
    largest = max((size for size in plain if size in sizes), default=0)
    if not largest:
        return 1.0
    kept = settings.reuse_activations and not changing
    optimizer = "adam" if settings.optimizer == "ridge" else settings.optimizer
    base = Settings.of({"batch_size": settings.batch_size, "finetuned_layers": None, "optimizer": optimizer})
    held_out = _at(known, settings.held_out_size)
    images = data.train if isinstance(data.train, int) else IMAGES
    own = work(_at(known, settings.image_size), settings, kept=kept, held_out=held_out, images=images)
    return max(own / work(plain[largest], base, kept=True), 1e-6)


def price_alone(cost: Callable[..., float]) -> Callable[..., float]:
    """Marks an `epoch_cost` that came when studies of its trainable were stored already.

    Virtual time follows it only where a study asks for it, by a budget in cost or by `clock: cost`.
    """
    cost.price_alone = True  # type: ignore[attr-defined]
    return cost


def moves_clock(kind: Any) -> bool:
    """Whether virtual time follows what a trainable declares although the study asks for nothing."""
    return not getattr(getattr(kind, "epoch_cost", None), "price_alone", False)


def declared(kind: Any, task: Task, space: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], float] | None:
    """Returns what an epoch costs, as a trainable declares it by `epoch_cost(config)`; None where it does not.

    A trainable whose cost depends on the study takes `task` and `space` by their names, too.
    """
    found: Any = getattr(kind, "epoch_cost", None)
    if found is None:
        return None
    names = inspect.signature(found).parameters
    more = {name: value for name, value in (("task", task), ("space", space)) if name in names}
    return lambda config: float(found(config, **more))


# -- image sizes --------------------------------------------------------------------------------------------------


def _sizes(space: Mapping[str, Any], name: str, size: int) -> tuple[int, ...]:
    """Returns the sizes that are counted of a hyperparameter: the study's one, its choices, or some that cover its range."""
    domain = space.get(name)
    if domain is None:
        return (size,)
    options = getattr(domain, "options", None)
    if options is not None:
        return tuple(sorted({int(value) for value in options}))
    low, high = int(domain.low), int(domain.high)
    step = max(1, -(-(high - low) // (SIZES - 1)))
    return tuple(sorted({*range(low, high, step), high}))


def _at(known: Mapping[int, Counts], size: int) -> Counts:
    """Returns the counts at a size, between those of its neighbours in proportion to the number of pixels."""
    sizes = sorted(known)
    place = bisect_left(sizes, size)
    if size in known or place in (0, len(sizes)):
        return known[sizes[min(place, len(sizes) - 1)]]
    low, high = sizes[place - 1], sizes[place]
    share = (size**2 - low**2) / (high**2 - low**2)
    pairs = zip(asdict(known[low]).values(), asdict(known[high]).values(), strict=True)
    return Counts(*(tuple(a + share * (b - a) for a, b in zip(*pair, strict=True)) for pair in pairs))


# -- counts -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _counted(name: str, shape: tuple[tuple[str, int], ...], sizes: tuple[int, ...], targets: str) -> dict[int, Counts]:
    """Returns the counts of each size: from the cache directory, or by one look into the model.

    `targets`: the layers that have adapters, "" for none.
    """
    path = cache_directory() / "costs" / f"{_digest(name, shape, sizes, targets)}.json"
    with suppress(OSError, ValueError, TypeError, AttributeError):
        kept = json.loads(path.read_text())
        return {int(size): Counts(**{k: tuple(v) for k, v in counts.items()}) for size, counts in kept.items()}
    found: dict[int, Counts] = apart.called("trainables.counting:counted", name, dict(shape), sizes, targets)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({size: asdict(counts) for size, counts in found.items()}).encode())
    return found


def _digest(*parts: Any) -> str:
    versions = []
    for package in ("torchvision", "timm"):
        with suppress(PackageNotFoundError):
            versions.append(version(package))
    return hashlib.sha256(json.dumps([FORMAT, versions, *parts]).encode()).hexdigest()[:24]
