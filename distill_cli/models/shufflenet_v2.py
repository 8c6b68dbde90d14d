"""ShuffleNetV2 (Ma et al. 2018, arXiv:1807.11164) as the CRD protocol has it for CIFAR: a 1x1 stem, no pooling.

One decision to know: a block ends in one ReLU over both of its halves, behind the shuffle. The values are those of
the paper's, since the half that was kept is past a ReLU already; and what goes into that one can be caught.

Modules are named as in the CRD code (`conv1`, `layer1.0.conv5`, `conv2`, `linear`). Features are found under
`layer1` to `layer3`. The paper says nothing of how weights start: as torch has it, as in that code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distill_cli.models.convolution import conv1x1, conv3x3

STEM = 24  # channels


class ShuffleNetV2(nn.Module):
    """A stem of 24 channels, then three stages of `blocks` blocks with `widths` channels; each halves the picture.

    `embedding` is the number of features before the classifier. Pictures of any size; made for 32x32.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        widths: Sequence[int] = (116, 232, 464),
        blocks: Sequence[int] = (4, 8, 4),
        embedding: int = 1024,
    ) -> None:
        super().__init__()
        if len(widths) != 3 or len(blocks) != 3 or min(blocks) < 1 or any(width % 2 for width in widths):
            what = "widths and blocks must be three numbers each, the widths even"
            raise ValueError(f"{what}, not {list(widths)} and {list(blocks)}")
        self.conv1 = conv1x1(in_channels, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu1 = nn.ReLU()
        self.layer1 = _stage(STEM, widths[0], blocks[0])
        self.layer2 = _stage(widths[0], widths[1], blocks[1])
        self.layer3 = _stage(widths[1], widths[2], blocks[2])
        self.conv2 = conv1x1(widths[2], embedding)
        self.bn2 = nn.BatchNorm2d(embedding)
        self.relu2 = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(embedding, num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.relu1(self.bn1(self.conv1(pictures)))
        features = self.layer3(self.layer2(self.layer1(features)))
        features = self.relu2(self.bn2(self.conv2(features)))
        logits: Tensor = self.linear(self.avgpool(features).flatten(1))
        return logits


class KeepingUnit(nn.Module):
    """One half of the channels stays as it is; the other goes through 1x1, 3x3 in each channel, 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = conv1x1(half, half)
        self.bn1 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(half, half, groups=half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(half, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.shuffle = nn.ChannelShuffle(2)
        self.relu2 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        kept, changed = features.chunk(2, dim=1)
        changed = self.relu1(self.bn1(self.conv1(changed)))
        changed = self.bn3(self.conv3(self.bn2(self.conv2(changed))))
        joined: Tensor = self.relu2(self.shuffle(torch.cat([kept, changed], dim=1)))
        return joined


class HalvingUnit(nn.Module):
    """All channels go both ways, each of which halves the picture and gives half of the new channels."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = conv3x3(in_channels, in_channels, stride=2, groups=in_channels)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = conv1x1(in_channels, half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(in_channels, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU()
        self.conv4 = conv3x3(half, half, stride=2, groups=half)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv1x1(half, half)
        self.bn5 = nn.BatchNorm2d(half)
        self.shuffle = nn.ChannelShuffle(2)
        self.relu2 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        left = self.bn2(self.conv2(self.bn1(self.conv1(features))))
        right = self.relu1(self.bn3(self.conv3(features)))
        right = self.bn5(self.conv5(self.bn4(self.conv4(right))))
        joined: Tensor = self.relu2(self.shuffle(torch.cat([left, right], dim=1)))
        return joined


def _stage(in_channels: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(HalvingUnit(in_channels, width), *(KeepingUnit(width) for _ in range(blocks - 1)))
