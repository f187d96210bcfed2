"""A model that torch.fx cannot trace: trained whole or its head alone. Changes no model."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator

import torch
from torch import nn

from trainables.backbones import Head
from trainables.boundary import Boundary
from trainables.errors import InvalidConfig
from trainables.network import Layer, Network, Outline
from trainables.tracing import CannotTrace, dry_run

log = logging.getLogger(__name__)


class Untraced:
    """Stands in for `Network`: one step, whose only boundary is the image, so that no activations can be kept.

    Raises InvalidConfig for images of a size that the model does not take.
    """

    layers: tuple[Layer, ...] = ()

    def __init__(self, model: nn.Module, image_size: int, reason: str) -> None:
        self.model = model
        self.reason = reason
        self.boundaries = (Boundary(0, "images", (3, image_size, image_size), (0, 1, 2, 3)),)
        training = model.training
        dry_run(model.eval(), image_size)
        model.train(training)

    def cut(self, finetuned: int | None) -> int:
        """Returns 0 for all layers (None), 1 for the head alone (0). Raises InvalidConfig for any other number."""
        if finetuned is None:
            return 0
        if finetuned == 0:
            return 1
        raise InvalidConfig(f"finetuned_layers must be 0 or all for this model, but got {finetuned}: {self.reason}")

    def boundary(self, cut: int) -> Boundary:
        """Returns the image's boundary."""
        return self.boundaries[0]

    def section(self, start: Boundary, stop: Boundary | None = None) -> nn.Module:
        """Returns the model: it is its only section."""
        return self.model

    def trained(self, cut: int) -> list[str]:
        """Returns the names of the parameters that are trained, in the model's order."""
        own = {id(p) for module in self.trained_modules(cut) for p in module.parameters()}
        return [name for name, parameter in self.model.named_parameters() if id(parameter) in own]

    def trained_modules(self, cut: int) -> Iterator[nn.Module]:
        """Yields the modules that are trained."""
        roots = [self.model] if cut == 0 else [m for m in self.model.modules() if isinstance(m, Head)]
        for root in roots:
            yield from root.modules()

    def thaws(self) -> tuple[int, ...]:
        """Returns nothing: no layer can be thawed alone."""
        return ()


AnyNetwork = Network | Untraced


_outlines: dict[Hashable, Outline] = {}
"""Of the architectures that this process has met last."""
OUTLINES = 16


def network_of(
    model: nn.Module,
    image_size: int,
    layout: torch.memory_format = torch.contiguous_format,
    architecture: Hashable = None,
) -> AnyNetwork:
    """Returns the model with a `Head` as a graph where torch.fx can trace it, else as one step, and logs why.

    A model with an `architecture` is traced for the first of its kind: the kind must be equal only where all steps and
    their sizes are. Raises InvalidConfig for images of a size that the model does not take.
    """
    kind = architecture and (architecture, image_size, layout)
    try:
        network = Network(model, image_size, layout, _outlines.get(kind))
    except CannotTrace as error:
        log.warning("the model is trained whole or its head alone, and its activations are not reused: %s", error)
        return Untraced(model, image_size, str(error))
    if kind is not None:
        _outlines[kind] = network.outline
        while len(_outlines) > OUTLINES:
            del _outlines[next(iter(_outlines))]
    return network
