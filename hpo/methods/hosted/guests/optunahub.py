"""OptunaHub: a sampler or a pruner by its package, as samplers/auto_sampler.

Options: `registry`, a folder with a copy of the registry's packages (without it optunahub fetches the package itself), `class`,
which of the package's classes (needed where it has several), `pruner` as of Optuna; the others are the class's arguments.
"""

from __future__ import annotations

import os
from typing import Any

import optuna
import optunahub

from .optuna import OptunaStudy, chosen, made
from .terms import Driven, Opening, Refused


def needs(name: str, options: dict[str, Any]) -> list[str]:
    """Returns nothing: a package says itself what it needs."""
    return []


def begin(opening: Opening) -> Driven:
    """Loads the package and builds its sampler."""
    options = dict(opening.options)
    registry, name, pruner = options.pop("registry", None), options.pop("class", None), options.pop("pruner", None)
    if not opening.name:
        raise Refused("optunahub must name a package, such as samplers/auto_sampler, but names none")
    classes = _classes(_loaded(opening.name, registry))
    if name is None and len(classes) == 1:
        name = next(iter(classes))
    if name not in classes:
        raise Refused(f"class must be one of {', '.join(classes) or 'none'} of {opening.name}, but got {name!r}")
    found = made(name, classes[name], options, opening)
    if isinstance(found, optuna.pruners.BasePruner):
        return OptunaStudy(opening, None, found)
    return OptunaStudy(opening, found, chosen("pruner", optuna.pruners, optuna.pruners.BasePruner, pruner, opening))


def _loaded(package: str, registry: str | None) -> Any:
    try:
        if registry is not None:
            return optunahub.load_local_module(package, registry_root=os.path.expanduser(registry))
        return optunahub.load_module(package)
    except Exception as error:  # of the network, or of the package
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise Refused(
            f"{package} must be had from OptunaHub's registry, or from a folder with a copy of its packages that `registry` "
            f"names, but: {what}"
        ) from error


def _classes(module: Any) -> dict[str, Any]:
    """Returns the samplers and pruners that the package offers."""
    bases = (optuna.samplers.BaseSampler, optuna.pruners.BasePruner)
    return {
        name: made
        for name in getattr(module, "__all__", dir(module))
        if isinstance(made := getattr(module, name), type) and issubclass(made, bases) and made not in bases
    }
