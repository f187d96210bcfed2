"""What the Tab key offers for a half-typed argument: presets, study files, methods. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hpo.study.study import presets

FILES = (".yaml", ".yml", ".zip", ".tar.gz")


def a_study(incomplete: str) -> list[str]:
    """Returns presets, study files, bundles and folders that begin so."""
    folder, _, start = incomplete.rpartition("/")
    above = f"{folder}/" if "/" in incomplete else ""
    found = [name for name in presets() if name.startswith(incomplete)]
    try:
        beside = sorted(Path(above or ".").expanduser().iterdir())
    except OSError:
        beside = []
    for path in beside:
        if path.name.startswith(start) and (start or not path.name.startswith(".")):
            if path.is_dir():
                found.append(f"{above}{path.name}/")
            elif path.name.endswith(FILES):
                found.append(f"{above}{path.name}")
    return found


def some_methods(incomplete: str) -> list[str]:
    """Returns lists of methods that begin so: the last name is completed, those before it are not offered again."""
    from hpo.methods import describe

    return _listed(incomplete, [name for name, _ in describe()])


def a_library(incomplete: str) -> list[str]:
    """Returns the libraries that can be hosted and begin so."""
    from hpo.methods.hosted.libraries import LIBRARIES

    return [name for name in LIBRARIES if name.startswith(incomplete)]


def a_model(incomplete: str) -> list[str]:
    """Returns the usual backbones that begin so: torchvision's full list takes seconds to import."""
    return [name for name in USUAL if name.startswith(incomplete)]


USUAL = (
    *("digits_net", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "efficientnet_b0", "efficientnet_v2_s"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "densenet121", "inception_v3", "convnext_tiny", "vit_b_16"),
    *("swin_t", "regnet_y_400mf", "shufflenet_v2_x1_0", "legacy_xception", "vgg16", "alexnet"),
)


def _listed(incomplete: str, names: Iterable[str]) -> list[str]:
    before, _, start = incomplete.rpartition(",")
    taken = before.split(",") if before else []
    return [",".join([*taken, name]) for name in names if name.startswith(start) and name not in taken]
