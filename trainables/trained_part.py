"""The part of a model that one stage trains, with its optimizer. Changes the model that it is given, in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trainables import lora
from trainables.averages import Averages
from trainables.backbones import Head
from trainables.checkpoint import pack_optimizer, unpack_optimizer
from trainables.hooks import Hooks
from trainables.optimizers import make_optimizer
from trainables.parameter_groups import groups, normalizes
from trainables.settings import Settings
from trainables.untraced import AnyNetwork

State = dict[str, Tensor]


class TrainedPart:
    """The last `layers` layers of a network (None: all) with the head, and a new optimizer for their parameters.

    With adapters, these and the head are trained, and normalization stays in evaluation mode. With `ema_decay`,
    `averages` are what is evaluated.
    """

    def __init__(self, network: AnyNetwork, layers: int | None, settings: Settings, hooks: Hooks | None = None) -> None:
        model = self._model = network.model
        self.cut = network.cut(layers)
        self._modules = list(dict.fromkeys(network.trained_modules(self.cut)))
        names = network.trained(self.cut)
        self.adapters = lora.adapters(model, names, settings)
        if settings.lora_rank:
            heads = {f"{name}." for name, module in model.named_modules() if isinstance(module, Head)}
            names = [name for name in names if lora.is_adapter(name) or name.startswith(tuple(heads))]
            self._modules = [module for module in self._modules if not normalizes(module)]
        self._still = [module for module in model.modules() if settings.lora_rank and normalizes(module)]
        divided = (hooks or Hooks()).grouped(groups(model, names, settings), settings)
        self.names = [name for group in divided for name in group.names]
        self.parameters = [_parameter(model, name) for name in self.names]
        model.requires_grad_(False)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.optimizer = make_optimizer(self.parameters, settings, divided)
        model.eval()
        self.averages = Averages(self.state(), settings.ema_decay) if settings.ema_decay else None

    def logits(self, section: nn.Module, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Returns what a section of the network makes of `inputs`, with the `weights` in place of the model's."""
        if not weights:
            found: Tensor = section(inputs)
            return found
        from torch.func import functional_call  # it takes a second to import

        found = functional_call(section, dict(weights), (inputs,))
        return found

    def merged(self) -> dict[str, Tensor]:
        """Returns the adapted layers' weights, through which gradients reach the adapters; nothing without adapters."""
        return {adapter.name: adapter.merged() for adapter in self.adapters}

    def train_mode(self) -> None:
        """Puts this part into training mode; everything before it stays in evaluation mode."""
        for module in self._modules:
            module.train()
        for module in self._still:  # inside a part that is one step
            module.eval()

    @contextmanager
    def evaluated(self, weights: Mapping[str, Tensor] | None = None) -> Iterator[None]:
        """Puts this part into evaluation mode, and lends the model `weights`, by default the averages if there are any.

        Adapted layers have their merged weights meanwhile.
        """
        for module in self._modules:
            module.eval()
        chosen = weights if weights is not None else self.averages.values if self.averages else {}
        current = self.copy() if chosen else {}
        self.restore(chosen)
        try:
            with lora.merged(self.adapters):
                yield
        finally:
            self.restore(current)

    def set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            own = rate * group["rate"]
            if isinstance(group["lr"], Tensor):  # which a recorded step reads
                group["lr"].fill_(own)
            else:
                group["lr"] = own

    def state(self) -> State:
        """Returns the trained parameters and the statistics that training moves: the tensors themselves, no copies."""
        modules = {id(module) for module in self._modules}
        buffers = {
            f"{prefix}.{name}": buffer
            for prefix, module in self._model.named_modules()
            if id(module) in modules
            for name, buffer in module.named_buffers(recurse=False)
        }
        return {name: p.detach() for name, p in zip(self.names, self.parameters, strict=True)} | buffers

    def best(self) -> State:
        """Returns copies of the weights that are evaluated."""
        return {name: value.clone() for name, value in self.averages.values.items()} if self.averages else self.copy()

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
