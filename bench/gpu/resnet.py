"""ResNet-50 (He et al., 2015) with the layers and strides of torchvision's; 25.6 M parameters."""

from __future__ import annotations

import torch
from torch import nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        out = width * EXPANSION
        self.body = nn.Sequential(
            *convolution(channels, width, 1), nn.ReLU(inplace=True),
            *convolution(width, width, 3, stride), nn.ReLU(inplace=True),
            *convolution(width, out, 1),
        )  # fmt: skip
        straight = stride == 1 and channels == out
        self.shortcut = (
            nn.Identity() if straight else nn.Sequential(*convolution(channels, out, 1, stride))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute."""
        return self.relu(self.body(x) + self.shortcut(x))


def convolution(channels: int, out: int, size: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """Return a convolution and its normalisation."""
    layer = nn.Conv2d(channels, out, size, stride, padding=size // 2, bias=False)
    return layer, nn.BatchNorm2d(out)


def resnet(blocks: tuple[int, ...] = (3, 4, 6, 3), classes: int = 1000) -> nn.Sequential:
    """Build the network; (3, 4, 6, 3) is ResNet-50."""
    layers: list[nn.Module] = [*convolution(3, 64, 7, 2), nn.ReLU(inplace=True)]
    layers.append(nn.MaxPool2d(3, 2, padding=1))
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for number in range(count):
            layers.append(Bottleneck(channels, width, 2 if stage and not number else 1))
            channels = width * EXPANSION
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers)
