"""The ResNets of CIFAR (He et al. 2015, arXiv:1512.03385, section 4.2) in the widths of the CRD protocol.

One decision to know: modules are named as in the published CRD checkpoints (`conv1`, `layer1.0.conv1`,
`layer2.0.downsample.0`, `fc`), so that these load; features are found under `layer1` to `layer3`. ReLUs
are modules, so that what goes into them can be caught.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from distill_cli.models.convolution import conv1x1, conv3x3, start_as_he


class CifarResNet(nn.Module):
    """`depth` = 6n + 2 layers: a stem of `widths[0]` channels, then three stages of n basic blocks each.

    The first block of a stage halves the picture (not in the first stage) and projects its shortcut by a 1x1
    convolution where size or width changes. Pictures of any size; made for 32x32.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, depth: int, widths: Sequence[int] = (16, 16, 32, 64)
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), not {depth}")
        if len(widths) != 4:
            raise ValueError(f"widths must be four numbers (stem and three stages), not {list(widths)}")
        self.conv1 = conv3x3(in_channels, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.layer1 = _stage(widths[0], widths[1], blocks, stride=1)
        self.layer2 = _stage(widths[1], widths[2], blocks, stride=2)
        self.layer3 = _stage(widths[2], widths[3], blocks, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[3], num_classes)
        start_as_he(self)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.relu(self.bn1(self.conv1(pictures)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.fc(self.avgpool(features).flatten(1))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the last ReLU comes after their sum."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != width:
            self.downsample = nn.Sequential(conv1x1(in_channels, width, stride), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        residual = self.relu1(self.bn1(self.conv1(features)))
        residual = self.bn2(self.conv2(residual))
        total: Tensor = self.relu2(residual + self.downsample(features))
        return total


def _stage(in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    channels = [in_channels, *[width] * blocks]
    strides = [stride, *[1] * (blocks - 1)]
    return nn.Sequential(*(BasicBlock(*pair, s) for pair, s in zip(pairwise(channels), strides, strict=True)))
