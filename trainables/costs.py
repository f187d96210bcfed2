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

FORMAT = 1  # of kept counts: raise it when others are counted
SIZES = 16  # most image sizes of a range that are counted; those between follow from their neighbours
BACKWARD = 2  # the backward pass of a trained step: as much work for its inputs as for its parameters

# What Python and PyTorch do around the arithmetic, in multiplications that take as long on one CPU thread. Fitted once to
# the figures of tests/bench/bench_cost.py.
CALL = 2.5e6  # for each step of the graph and each batch, whatever their size
CALLS = 4  # as much as so many steps: a batch's loss, its measures, the optimizer
IMAGE = 8e5  # to fetch an image's row, and to count what became of it

# Numbers read and written in an optimizer's step, for each parameter: gradient, parameter, and the averages of each.
OPTIMIZER = {"sgd": 3.0, "rmsprop": 5.0, "adam": 7.0, "adamw": 7.0, "adadelta": 7.0}


@dataclass(frozen=True)
class Counts:
    """The work of a model's forward pass, for one image of one size; in multiplications and what takes as long.

    Each list is by the number of last layers that are trained: the head alone, 1, ..., all. `trained`: from the first
    trained step on. `frozen`: from there back to the place where activations can be kept. `parameters`: trained ones.
    `below`: from the image to that place. `steps`: of the graph, from the first trained one on; `steps_before`: all others.
    """

    trained: tuple[float, ...]
    frozen: tuple[float, ...]
    below: tuple[float, ...]
    parameters: tuple[float, ...]
    steps: tuple[float, ...]
    steps_before: tuple[float, ...]

    def place(self, layers: int | None) -> int:
        """Returns the place in the lists for so many trained layers (None: all)."""
        return len(self.trained) - 1 if layers is None else min(layers, len(self.trained) - 1)


def work(counts: Counts, settings: Settings, *, kept: bool) -> float:
    """Returns the work of an epoch for each training image. `kept`: whether activations below the cut may be kept.

    Stages count as the last one: an epoch of the head alone, or before all layers are thawed, costs less than this.
    """
    i = counts.place(settings.finetuned_layers)
    forward = counts.trained[i] + counts.frozen[i] + (0.0 if kept else counts.below[i])
    update = OPTIMIZER[settings.optimizer] + (2.0 if settings.momentum else 0.0)
    calls = CALLS + (1 + BACKWARD) * counts.steps[i] + (0.0 if kept else counts.steps_before[i])
    batch = counts.parameters[i] * update + CALL * calls
    return forward + BACKWARD * counts.trained[i] + IMAGE + batch / settings.batch_size


def relative(config: Mapping[str, Any], task: Task, space: Mapping[str, Any]) -> float:
    """Returns the work of an epoch of the configuration, where 1 is an epoch of the base.

    The base trains all layers at the study's largest image size, with the configuration's other settings. A model that
    cannot be looked into counts as if all of its layers took equally long at every size; an impossible configuration
    costs 1: it fails before its first epoch, which nobody is charged for.
    """
    try:
        settings, data, model = Settings.of(config), Data.of(task), Model.of(task)
        shape = {**model.architecture, **settings.architecture}
        known = _counted(model.name, tuple(sorted(shape.items())), _sizes(space, settings.image_size))
    except HpoError:
        known = {}
    if not known:
        return 1.0
    kept = settings.reuse_activations and data.augment == "none"
    base = Settings.of({"batch_size": settings.batch_size, "finetuned_layers": None, "optimizer": settings.optimizer})
    whole = work(known[max(known)], base, kept=True)
    return max(work(_at(known, settings.image_size), settings, kept=kept) / whole, 1e-6)


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


def _sizes(space: Mapping[str, Any], size: int) -> tuple[int, ...]:
    """Returns the image sizes that are counted: the study's one, its choices, or some that cover its range."""
    domain = space.get("image_size")
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
def _counted(name: str, shape: tuple[tuple[str, int], ...], sizes: tuple[int, ...]) -> dict[int, Counts]:
    """Returns the counts of each size: from the cache directory, or by one look into the model."""
    path = cache_directory() / "costs" / f"{_digest(name, shape, sizes)}.json"
    with suppress(OSError, ValueError, TypeError, AttributeError):
        kept = json.loads(path.read_text())
        return {int(size): Counts(**{k: tuple(v) for k, v in counts.items()}) for size, counts in kept.items()}
    found: dict[int, Counts] = apart.called("trainables.counting:counted", name, dict(shape), sizes)
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
