"""A user's hooks and a subclass of the image classifier, as studies and tests name them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.image_classifier import ImageClassifier
from trainables.parameter_groups import Group


class Own:
    """Cross-entropy as a loss, a faster head, brighter images, a milder activation, the share in the best three."""

    metric_names = ("top3",)

    def loss(self, logits, labels):
        return cross_entropy(logits, labels, reduction="none")

    def optimizer_groups(self, groups, settings):
        (whole,) = groups
        head = tuple(name for name in whole.names if name.startswith("classifier"))
        rest = tuple(name for name in whole.names if name not in head)
        return [Group(head, 0.01, 10.0), *([Group(rest, 0.0)] if rest else [])]

    def augment(self, images, generator):
        brighter = torch.randint(0, 40, (len(images), 1, 1, 1), generator=generator).to(images)
        return images.clamp(max=215) + brighter

    def model(self, model):
        for module in model.features.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.1
        return model

    def metrics(self, logits, labels):
        return {"top3": (logits.topk(3).indices == labels[:, None]).any(1).float().mean()}


class Loss:
    loss = Own.loss


class Groups:
    optimizer_groups = Own.optimizer_groups


class Augment:
    augment = Own.augment


class Model:
    model = Own.model


class Metrics:
    metrics, metric_names = Own.metrics, Own.metric_names


class Squared:
    """Another loss: the squared distance to the class."""

    def loss(self, logits, labels):
        return (logits - nn.functional.one_hot(labels, logits.shape[1])).square().sum(1)


class Mine(ImageClassifier):
    hooks = Own


class Nothing:
    other = 1


class Nameless:
    metrics = Own.metrics


class Broken:
    metric_names = ("top5",)
    metrics = Own.metrics

    def optimizer_groups(self, groups, settings):
        return [Group(groups[0].names[1:], 0.0)]


class Headless:
    def model(self, model):
        return nn.Linear(1, 1)


def silent(config, *, seed, resume=None):
    """A trainable that declares nothing."""
    yield {"val_accuracy": 0.5}
