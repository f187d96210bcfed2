"""One trial on several processes: ranks train shards of each global batch, as one process would train the whole.

The caller starts the processes and the torch.distributed group (gloo on CPUs, nccl on GPUs); this module only uses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

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
        """Returns this rank's part of the global batch's `rows` [N, ...]."""
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


class _Normalized(torch.autograd.Function):
    """(x - mean) / deviation over the global batch, whose mean and deviation depend on x as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, deviation: Tensor, shard: Shard, count: int) -> Tensor:
        """`x` is this rank's part; `mean` and `deviation` [1, C, 1, ...] are over all `count` values of a channel."""
        normalized = (x - mean).div_(deviation)
        ctx.save_for_backward(normalized, deviation)
        ctx.shard, ctx.count = shard, count
        return normalized

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,), (normalized, deviation) = gradients, ctx.saved_tensors
        over = _but_channels(gradient)
        sums = torch.stack([gradient.sum(over, keepdim=True), (gradient * normalized).sum(over, keepdim=True)])
        ctx.shard.sum([sums])
        mean, along = sums / ctx.count
        return (gradient - mean).sub_(normalized * along).div_(deviation), None, None, None, None


class SharedBatchNorm(_BatchNorm):
    """Batch normalization by the statistics of the global batch, on any device; torch's SyncBatchNorm needs GPUs.

    Computes in float32 at least, and returns the input's type.
    """

    shard: Shard

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        count = self.shard.total * math.prod(input.shape[2:])
        if count < 2:  # torch's own words
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        mean, variance = _statistics(x.detach(), self.shard, count)
        self._track(mean.flatten(), variance.flatten(), count)
        out = cast(Tensor, _Normalized.apply(x, mean, (variance + self.eps).sqrt_(), self.shard, count))
        if self.affine:
            out = out * self.weight.view_as(mean) + self.bias.view_as(mean)
        return out.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            weight: Any = self.momentum
            if weight is None:  # the mean over all batches; the count stays on the device
                weight = (1 / self.num_batches_tracked).to(self.running_mean.dtype)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
            self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), weight)


def _statistics(x: Tensor, shard: Shard, count: int) -> tuple[Tensor, Tensor]:
    """The mean and variance of the global batch's `count` values a channel, [1, C, 1, ...], from this rank's part `x`.

    Chan, Golub and LeVeque 1983: each rank's mean and sum of squares about it are merged, so that a mean that is large
    beside the deviation costs no digits. One message.
    """
    over, own = _but_channels(x), x.numel() // max(1, x.shape[1])
    mean = x.sum(over, keepdim=True) / max(1, own)
    parts = x.new_zeros(shard.world, 3, *mean.shape)  # a row for each rank, zeros but for this one's
    parts[shard.rank, 0], parts[shard.rank, 1] = mean, (x - mean).square_().sum(over, keepdim=True)
    parts[shard.rank, 2].fill_(own)
    shard.sum([parts])
    means, squares, counts = parts.unbind(1)
    apart = means - means[0]  # rank 0 always has rows
    mean = means[0] + (apart * counts).sum(0) / count
    return mean, (squares + counts * (means - mean).square_()).sum(0) / count


def _but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


class SharedDropout(nn.Dropout):
    """Dropout with this rank's part of the global batch's mask."""

    shard: Shard

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        # Of ones, so that a GPU's own dropout kernel draws, as in a single process.
        whole = torch.ones(self.shard.total, *input.shape[1:], device=input.device)
        return (input * self.shard.take(nn.functional.dropout(whole, self.p))).to(input.dtype)


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
