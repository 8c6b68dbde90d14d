"""ShuffleNetV1 (Zhang et al. 2017, arXiv:1707.01083) as the CRD protocol has it for CIFAR: a 1x1 stem, no pooling.

As in that code, and not in the paper, a ReLU follows the 3x3 convolutions. The first 1x1 convolution of all has one
group, as in the paper, and so nothing to shuffle.

One decision to know: modules are named as in the CRD code (`conv1`, `layer1.0.conv3`, `linear`). Features are found
under `layer1` to `layer3`, each of which ends in a ReLU. The paper says nothing of how weights start: as torch has
it, as in that code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distill_cli.models.convolution import conv1x1, conv3x3

STEM = 24  # channels


class ShuffleNetV1(nn.Module):
    """A stem of 24 channels, then three stages of `blocks` blocks with `widths` channels; each halves the picture.

    Pictures of any size; made for 32x32.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        widths: Sequence[int] = (240, 480, 960),
        blocks: Sequence[int] = (4, 8, 4),
        groups: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) != 3 or len(blocks) != 3 or min(blocks) < 1:
            raise ValueError(
                f"widths and blocks must be three numbers each, not {list(widths)}, {list(blocks)}"
            )
        self.conv1 = conv1x1(in_channels, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU()
        self.layer1 = _stage(STEM, widths[0], blocks[0], groups, first_groups=1)
        self.layer2 = _stage(widths[0], widths[1], blocks[1], groups, first_groups=groups)
        self.layer3 = _stage(widths[1], widths[2], blocks[2], groups, first_groups=groups)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(widths[2], num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.relu(self.bn1(self.conv1(pictures)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(self.avgpool(features).flatten(1))
        return logits


class ShuffleUnit(nn.Module):
    """1x1 in groups, shuffle, 3x3 in each channel, 1x1 in groups; a quarter of its own channels within.

    The features are added to that; where the picture is halved, they stand behind it, averaged, and are part of
    `width`.
    """

    def __init__(self, in_channels: int, width: int, groups: int, *, halves: bool, first_groups: int) -> None:
        super().__init__()
        own = width - in_channels if halves else width
        inner = own // 4
        self.halves = halves
        self.conv1 = conv1x1(in_channels, inner, groups=first_groups)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.shuffle1 = nn.ChannelShuffle(first_groups)
        self.conv2 = conv3x3(inner, inner, 2 if halves else 1, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(inner, own, groups=groups)
        self.bn3 = nn.BatchNorm2d(own)
        self.relu3 = nn.ReLU()
        self.shortcut = nn.AvgPool2d(3, 2, padding=1) if halves else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        residual = self.shuffle1(self.relu1(self.bn1(self.conv1(features))))
        residual = self.relu2(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        shortcut = self.shortcut(features)
        joined: Tensor = self.relu3(
            torch.cat([residual, shortcut], dim=1) if self.halves else residual + shortcut
        )
        return joined


def _stage(in_channels: int, width: int, blocks: int, groups: int, *, first_groups: int) -> nn.Sequential:
    row = [ShuffleUnit(in_channels, width, groups, halves=True, first_groups=first_groups)]
    row += [ShuffleUnit(width, width, groups, halves=False, first_groups=groups) for _ in range(blocks - 1)]
    return nn.Sequential(*row)
