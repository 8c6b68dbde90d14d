"""ResNets of bottlenecks (He et al. 2015, arXiv:1512.03385, section 4.1) on the stem of CIFAR: 3x3, no pooling.

One decision to know: modules are named as in the published CRD checkpoints (`conv1`, `layer1.0.conv3`,
`layer1.0.shortcut.0`, `linear`), so that these load. Features are found under `layer1` to `layer4`. For photos
there is torchvision's resnet50, whose stem leaves a quarter of each side.

Convolutions start with the variance of He by fan-out, the linear layer as torch has it, as in the CRD code.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from distill_cli.models.convolution import conv1x1, conv3x3, start_as_he

EXPANSION = 4  # channels that leave a bottleneck, for each within


class BottleneckResNet(nn.Module):
    """A stem of `width` channels, then four stages of `blocks` bottlenecks: 4, 8, 16 and 32 times `width` features.

    All stages but the first halve the picture. Pictures of any size; made for 32x32.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, blocks: Sequence[int] = (3, 4, 6, 3), width: int = 64
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"blocks must be four numbers (of each stage), not {list(blocks)}")
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(4 * width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(8 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(16 * width, 8 * width, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(32 * width, num_classes)
        start_as_he(self)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.relu(self.bn1(self.conv1(pictures)))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        logits: Tensor = self.linear(self.avgpool(features).flatten(1))
        return logits


class Bottleneck(nn.Module):
    """A 3x3 convolution of `width` channels between two 1x1, and a shortcut; a ReLU comes after their sum."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * width
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(width, wide)
        self.bn3 = nn.BatchNorm2d(wide)
        self.relu3 = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != wide:
            self.shortcut = nn.Sequential(conv1x1(in_channels, wide, stride), nn.BatchNorm2d(wide))

    def forward(self, features: Tensor) -> Tensor:
        residual = self.relu1(self.bn1(self.conv1(features)))
        residual = self.relu2(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        total: Tensor = self.relu3(residual + self.shortcut(features))
        return total


def _stage(in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    channels = [in_channels, *[EXPANSION * width] * (blocks - 1)]
    strides = [stride, *[1] * (blocks - 1)]
    return nn.Sequential(*(Bottleneck(c, width, s) for c, s in zip(channels, strides, strict=True)))
