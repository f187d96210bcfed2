"""The part of a model that one stage trains, with its optimizer. Changes the model that it is given, in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.checkpoint import pack_optimizer, unpack_optimizer
from trainables.optimizers import make_optimizer
from trainables.settings import Settings
from trainables.untraced import AnyNetwork

State = dict[str, Tensor]


class TrainedPart:
    """The last `layers` layers of a network (None: all) with the head, and a new optimizer for their parameters."""

    def __init__(self, network: AnyNetwork, layers: int | None, settings: Settings) -> None:
        self._network = network
        self.cut = network.cut(layers)
        self.names = network.trained(self.cut)
        self.parameters = [_parameter(network.model, name) for name in self.names]
        network.model.requires_grad_(False)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.optimizer = make_optimizer(self.parameters, settings)
        self._modules = list(dict.fromkeys(network.trained_modules(self.cut)))
        network.model.eval()

    def train_mode(self) -> None:
        """Puts this part into training mode; everything before it stays in evaluation mode."""
        for module in self._modules:
            module.train()

    def evaluation_mode(self) -> None:
        for module in self._modules:
            module.eval()

    def set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # which a recorded step reads
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def state(self) -> State:
        """Returns the trained parameters and the statistics that training moves: the tensors themselves, no copies."""
        modules = {id(module) for module in self._modules}
        buffers = {
            f"{prefix}.{name}": buffer
            for prefix, module in self._network.model.named_modules()
            if id(module) in modules
            for name, buffer in module.named_buffers(recurse=False)
        }
        return {name: p.detach() for name, p in zip(self.names, self.parameters, strict=True)} | buffers

    def copy(self) -> State:
        """Returns `state` as copies, which training leaves alone."""
        return {name: value.clone() for name, value in self.state().items()}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets the values that `state` has."""
        for name, value in self.state().items():
            if name in state:
                value.copy_(state[name])

    def pack_optimizer(self) -> tuple[State, dict[str, Any]]:
        """Returns the optimizer's state: tensors and JSON values, by parameter and key."""
        return pack_optimizer(self.optimizer, self.names)

    def unpack_optimizer(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Gives the optimizer the state that `pack_optimizer` returned."""
        unpack_optimizer(self.optimizer, self.names, tensors, values)


def _parameter(model: nn.Module, name: str) -> nn.Parameter:
    parameter = model.get_parameter(name)
    assert isinstance(parameter, nn.Parameter)
    return parameter
