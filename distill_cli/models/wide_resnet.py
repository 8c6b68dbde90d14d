"""Wide ResNets (Zagoruyko and Komodakis 2016, arXiv:1605.07146): batch norm and ReLU come before each convolution.

One decision to know: modules are named as in the published CRD checkpoints (`conv1`, `block1.layer.0.conv1`,
`block2.layer.0.convShortcut`, `bn1`, `fc`), so that these load. Features are found under `block1` to `block3`:
sums, with no ReLU behind them yet. Without dropout, as in CRD.

As in the authors' code, convolutions start with the variance of He by fan-out and the classifier's bias with 0.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from distill_cli.models.convolution import conv1x1, conv3x3, start_as_he


class WideResNet(nn.Module):
    """`depth` = 6n + 4 layers: a stem of 16 channels, then three stages of n blocks, `factor` times as wide.

    The second and third stage halve the picture. Pictures of any size; made for 32x32.
    """

    def __init__(self, *, num_classes: int, in_channels: int, depth: int, factor: int = 1) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth must be 6n + 4 (10, 16, 22, ...), not {depth}")
        if factor < 1:
            raise ValueError(f"factor must be 1 or more, not {factor}")
        widths = [16 * factor, 32 * factor, 64 * factor]
        self.conv1 = conv3x3(in_channels, 16)
        self.block1 = _stage(16, widths[0], blocks, stride=1)
        self.block2 = _stage(widths[0], widths[1], blocks, stride=2)
        self.block3 = _stage(widths[1], widths[2], blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes)
        start_as_he(self)
        nn.init.zeros_(self.fc.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.block3(self.block2(self.block1(self.conv1(pictures))))
        features = self.relu(self.bn1(features))
        logits: Tensor = self.fc(self.avgpool(features).flatten(1))
        return logits


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the features as they are, or a projection of the activated ones."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(width, width)
        self.convShortcut = None if in_channels == width else conv1x1(in_channels, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        active = self.relu1(self.bn1(features))
        residual: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        return residual + (features if self.convShortcut is None else self.convShortcut(active))


def _stage(in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    channels = pairwise([in_channels, *[width] * blocks])
    strides = [stride, *[1] * (blocks - 1)]
    row = (PreActivationBlock(*pair, s) for pair, s in zip(channels, strides, strict=True))
    return nn.Sequential(OrderedDict(layer=nn.Sequential(*row)))
