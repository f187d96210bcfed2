"""The linear probe in closed form: ridge regression from a frozen backbone's features to the classes, 1 or 0.

Minimizes the mean of w |y - W x - b|^2 over the samples, plus weight_decay |W|^2, w the class weights. An epoch solves it
once, from sums over all samples, in float64; another epoch finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from trainables.backbones import Head
from trainables.errors import InvalidConfig
from trainables.feed import Feed, Source


@torch.no_grad()
def fit_head(
    model: nn.Module, feed: Feed, source: Source, batches: Iterable[Tensor], class_weights: Tensor | None, decay: float
) -> None:
    """Sets the head of the model, in evaluation mode, to the solution for the samples of the global `batches`."""
    last = _last(model)
    classes = len(feed.dataset.classes)
    size = last.weight[0].numel() + 1
    products = torch.zeros(
        size, size + classes, dtype=torch.float64, device=source.labels.device
    )  # of [x 1] and [x 1 y]
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        for batch in batches:
            rows = feed.shard.take(batch)
            with feed.machine.autocast():
                source.section(feed.inputs(source, rows, *feed.staged(source, rows)))
            labels = source.labels[rows]
            x = seen.pop().flatten(1).double()
            x = torch.cat([x, x.new_ones(len(x), 1)], 1)
            w = 1 if class_weights is None else class_weights[labels, None].double()
            products += (x * w).T @ torch.cat([x, one_hot(labels, classes).double()], 1)
    finally:
        hook.remove()
    feed.shard.sum([products])
    weight, bias = _solve(products, decay)
    last.weight.copy_(weight.view_as(last.weight))
    assert last.bias is not None
    last.bias.copy_(bias)


def _solve(products: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Returns W [classes, features] and b [classes] for the sums of products of [x 1] with [x 1 y]."""
    count = products[-1, -1 - (products.shape[1] - len(products))]  # 1 times 1
    moments = products / count
    n = len(products) - 1
    mean_x, mean_y = moments[-1, :n], moments[-1, n + 1 :]
    covariance = moments[:n, :n] - mean_x[:, None] * mean_x
    covariance.diagonal().add_(decay)
    weight = torch.linalg.solve(covariance, moments[:n, n + 1 :] - mean_x[:, None] * mean_y)
    return weight.T, mean_y - mean_x @ weight


def _last(model: nn.Module) -> nn.Linear | nn.Conv2d:
    heads = [module for module in model.modules() if isinstance(module, Head)]
    if len(heads) != 1:
        raise InvalidConfig(f"optimizer ridge needs a model with one head, but this one has {len(heads)}")
    last = heads[0][-1]
    assert isinstance(last, nn.Linear | nn.Conv2d)
    return last
