"""digits_net: a convolutional network of 0.3 million parameters for 32 px images, small enough for a demonstration."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DigitsNet(nn.Module):
    """Eight 3x3 convolutions, each with batch normalization and ReLU, then global average pooling and a linear layer.

    Images are float [N, 3, S, S] with S >= 8, grey ones repeated over the three channels; logits are [N, num_classes].
    """

    # (channels out, stride) of each convolution: 32 px become 4 px.
    blocks = ((16, 1), (24, 2), (32, 2), (48, 1), (64, 2), (96, 1), (96, 1), (128, 1))

    def __init__(self, num_classes: int = 26) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, stride in self.blocks:
            layers += [
                nn.Conv2d(channels, width, 3, stride, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(images)), 1))
        return logits
