"""One trial on several processes: ranks train shards of each global batch, as one process would train the whole.

The caller starts the processes and the torch.distributed group (gloo on CPUs, nccl on GPUs); this module only uses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import StochasticDepth


@dataclass
class Shard:
    """This rank's part of a global batch: rows rank, rank + world, ... Without a group it is the whole batch."""

    group: dist.ProcessGroup | None = None
    total: int = 0  # rows of the global batch at hand
    rank: int = field(init=False, default=0)
    world: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        if self.group is not None:
            self.rank, self.world = dist.get_rank(self.group), dist.get_world_size(self.group)

    def take(self, rows: Tensor) -> Tensor:
        """This rank's part of the global batch's `rows` [N, ...]."""
        return rows if self.world == 1 else rows[self.rank :: self.world]

    def sum(self, values: Iterable[Tensor | None]) -> None:
        """Adds the tensors over all ranks, in place, in one message for each type."""
        if self.world == 1:
            return
        tensors = [value for value in values if value is not None]
        for kind in dict.fromkeys(value.dtype for value in tensors):  # in an order that all ranks have
            same = [value for value in tensors if value.dtype == kind]
            flat = torch.cat([value.reshape(-1) for value in same])
            dist.all_reduce(flat, group=self.group)
            for value, part in zip(same, flat.split([value.numel() for value in same]), strict=True):
                value.copy_(part.view_as(value))


class _AllReduce(torch.autograd.Function):
    """The sum over ranks; its gradient is the sum over ranks as well."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group  # type: ignore[attr-defined]
        total = value.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        dist.all_reduce(total, group=ctx.group)  # type: ignore[attr-defined]
        return total, None


class SharedBatchNorm(_BatchNorm):
    """Batch normalization by the statistics of the global batch, on any device; torch's SyncBatchNorm needs GPUs."""

    shard: Shard

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        over = [0, *range(2, input.dim())]
        count = self.shard.total * input[0:1].new_ones(input.shape[2:]).sum()
        local = torch.cat([input.sum(over), (input * input).sum(over)])
        mean, square = (cast(Tensor, _AllReduce.apply(local, self.shard.group)) / count).chunk(2)
        variance = square - mean * mean
        self._track(mean.detach(), variance.detach(), count)
        shape = (1, -1, *[1] * (input.dim() - 2))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return input * scale.reshape(shape) + (self.bias - mean * scale).reshape(shape)

    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            weight = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, weight)
            self.running_var.lerp_(variance * count / (count - 1), weight)


class SharedDropout(nn.Dropout):
    """Dropout with this rank's part of the global batch's mask."""

    shard: Shard

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        whole = torch.empty(self.shard.total, *input.shape[1:], dtype=input.dtype, device=input.device)
        return input * self.shard.take(whole.bernoulli_(1 - self.p).div_(1 - self.p))


class SharedStochasticDepth(StochasticDepth):  # type: ignore[misc]  # torchvision has no types
    """Stochastic depth by row, drawn for the global batch."""

    shard: Shard

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        rows = self.shard.total if self.mode == "row" else 1
        whole = torch.empty(rows, *[1] * (input.dim() - 1), dtype=input.dtype, device=input.device)
        whole.bernoulli_(1 - self.p).div_(1 - self.p)
        return input * (self.shard.take(whole) if self.mode == "row" else whole)


def share(model: nn.Module, shard: Shard) -> None:
    """Makes batch normalization, dropout and stochastic depth see the global batch; without a group, does nothing."""
    if shard.world == 1:
        return
    for module in model.modules():
        for kind, shared in (
            (_BatchNorm, SharedBatchNorm),
            (nn.Dropout, SharedDropout),
            (StochasticDepth, SharedStochasticDepth),
        ):
            if isinstance(module, kind):
                module.__class__ = shared  # the same fields, another forward
                module.shard = shard
