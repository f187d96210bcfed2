"""An exponential moving average of a trained part's tensors, in place: the weights that are evaluated (EMA)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Averages:
    """The averages of tensors by name; they begin at the tensors' values.

    After a step, each becomes decay * average + (1 - decay) * value. Counts, which are no floats, are copied.
    """

    def __init__(self, state: Mapping[str, Tensor], decay: float) -> None:
        self.values = {name: value.detach().clone() for name, value in state.items()}
        names = [name for name, value in state.items() if value.is_floating_point()]
        self._floats = [self.values[name] for name in names], [state[name] for name in names]
        others = [name for name in state if name not in set(names)]
        self._others = [self.values[name] for name in others], [state[name] for name in others]
        self._weight = 1 - decay

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the tensors' present values."""
        torch._foreach_lerp_(*self._floats, self._weight)
        for average, value in zip(*self._others, strict=True):
            average.copy_(value)

    @torch.no_grad()
    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Sets the averages that `values` has."""
        for name, value in values.items():
            if name in self.values:
                self.values[name].copy_(value)
