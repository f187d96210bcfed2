"""Which backbones can be used, and how: a small model of each of torchvision's and timm's families, at its native size.

    python tests/bench/bench_backbones.py [--quick] [--json FILE] [--write]

For each model, with random weights, on a CPU: whether it can be built with a head, whether torch.fx can trace it, into how
many layers, and whether the logits are the model's, bit for bit, when activations are kept at the last place before the
head and at a place in the middle. With --quick only the models of QUICK. --write puts the table into docs/measured/backbones.md.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, row, tell, write

from hpo.text import one_line
from trainables import backbones
from trainables.network import KINDS as KIND_PAIRS
from trainables.network import Network
from trainables.untraced import Untraced, network_of

KINDS = dict(KIND_PAIRS)
PAGE = ROOT / "docs" / "measured" / "backbones.md"
QUICK = ["timm:vit_tiny_patch16_224", "timm:levit_128s", "resnet18"]
MOST_PARAMETERS = 100_000_000  # of a model that is computed with; a larger one is only traced
TORCHVISION = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vit_b_32", "wide_resnet50_2",
]  # fmt: skip
# Of timm's files: several models where one file holds several architectures, and a small one where no name says small.
TIMM = {
    "cspnet": ["cs3darknet_focus_s"],
    "deit": ["deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224"],
    "efficientformer_v2": ["efficientformerv2_s0"],
    "efficientnet": ["efficientnet_b0", "tf_efficientnetv2_b0", "mobilenetv2_050", "mnasnet_small"],
    "eva": ["eva02_tiny_patch14_224", "vit_small_patch16_dinov3"],
    "fasternet": ["fasternet_t0"],
    "fastvit": ["fastvit_t8"],
    "iformer": ["iformer_t"],
    "levit": ["levit_128s"],
    "maxxvit": ["coatnet_nano_rw_224", "maxvit_rmlp_pico_rw_256", "maxxvit_rmlp_nano_rw_256"],
    "metaformer": ["poolformer_s12", "caformer_s18"],
    "mlp_mixer": ["mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224"],
    "mobilenetv3": ["mobilenetv3_small_050", "mobilenetv4_conv_small", "lcnet_035"],
    "naflexvit": ["naflexvit_base_patch16_gap"],
    "regnet": ["regnetx_002", "regnety_002"],
    "resnet": ["resnet10t"],
    "resnetv2": ["resnetv2_18", "resnetv2_50x1_bit"],
    "senet": ["legacy_seresnet18"],
    "sequencer": ["sequencer2d_s"],
    "swin_transformer": ["swin_tiny_patch4_window7_224"],
    "tnt": ["tnt_s_patch16_224"],
    "tresnet": ["tresnet_m"],
    "vision_transformer": ["vit_tiny_patch16_224", "vit_base_patch32_clip_224", "vit_base_patch16_siglip_224",
                           "vit_small_patch14_dinov2"],
    "vovnet": ["ese_vovnet19b_slim_dw"],
}  # fmt: skip
SMALL = ("atto", "femto", "pico", "nano", "xxs", "xxt", "_ti_", "xtiny", "xs", "tiny", "mini", "x_small", "small", "_s")


def smallest(names: list[str]) -> str:
    """Returns the name that says small most clearly, else the first that is none of timm's own test models."""
    own = [name for name in names if not name.startswith("test_")]
    return min(own, key=lambda name: next((i for i, word in enumerate(SMALL) if word in name), len(SMALL)))


def chosen() -> Iterator[tuple[str, str]]:
    """Yields (library and family, the study file's name of a model)."""
    for name in TORCHVISION:
        yield "torchvision", name
    for module in timm.list_modules():
        for name in TIMM.get(module) or [smallest(timm.list_models(module=module))]:
            yield f"timm {module}", f"timm:{name}"


def found(family: str, name: str) -> Row:
    """Returns what holds for the model, as a row of seconds."""
    began = time.perf_counter()
    holds = {"family": family, "model": name, "builds": "no", "traced": "no", "cut": "", "reuse": "no", "why": ""}
    try:
        size = backbones.native_size(name)
        model = backbones.outline(name, size)
        small = sum(parameter.numel() for parameter in model.parameters()) <= MOST_PARAMETERS
        if small:
            model = backbones.build(name, 10, image_size=size).eval()
        holds |= {"builds": "yes", "size": size}
        network = network_of(model, size)
        if isinstance(network, Untraced):
            holds["why"] = network.reason
        else:
            parts = sum(is_opaque(model.get_submodule(layer.name)) for layer in network.layers)
            whole = f", {parts} of them {'a part' if parts == 1 else 'parts'}" if parts else ""
            holds |= {"traced": "yes", "cut": f"{len(network.layers)} layers{whole}"}
            if network.boundary(network.cut(0)).position:
                holds["reuse"] = "not tried" if not small else "yes" if reuses(network, size) else "differs"
    except Exception as error:  # whatever a model's own code raises: the row says it
        holds["why"] = f"{type(error).__name__}: {one_line(error)}"
    return row(name, [time.perf_counter() - began], "s", **holds)


def is_opaque(module: nn.Module) -> bool:
    """Whether the layer is a part that torch.fx could not enter."""
    children = next(module.children(), None) is not None
    return children and not isinstance(module, KINDS["attention"] + KINDS["normalization"])


@torch.no_grad()
def reuses(network: Network, size: int) -> bool:
    """Whether the logits are the model's when they are computed from the activations of a boundary."""
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    expected = network.model(images.clone())
    first, *others = network.boundaries
    last = network.boundary(network.cut(0))
    return all(
        torch.equal(network.section(boundary)(network.section(first, boundary)(images.clone())), expected)
        for boundary in {last, others[len(others) // 2]}
    )


def table(rows: list[Row]) -> str:
    """Returns the table of the page."""
    head = ("family", "model", "px", "builds", "traced", "cut", "reuse")
    names = ("family", "model", "size", "builds", "traced", "cut", "reuse")
    return markdown(head, [[r.get(name, "") for name in names] for r in rows])


def main(quick: bool = False) -> list[Row]:
    """Returns a row for each model."""
    warnings.simplefilter("ignore")
    rows = []
    for family, name in chosen():
        if not quick or name in QUICK:
            rows.append(found(family, name))
            print(*(rows[-1].get(key, "") for key in ("model", "builds", "traced", "cut", "reuse", "why")), flush=True)
    return rows


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    measured = main(given.quick)
    tell(measured, given.json)
    if given.write:
        write(PAGE, "the table of backbones", table(measured))
