"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) as the CRD protocol has it for CIFAR.

It differs from the paper's, and from torchvision's for photos: ReLU in place of ReLU6, a 1x1 convolution also where
nothing is expanded, widths cut to whole numbers, no dropout, and strides that leave 2x2 maps of a 32x32 picture.

One decision to know: modules are named as in the CRD code (`conv1.0`, `blocks.1.0.conv.3`, `conv2.0`,
`classifier.0`). Features are found under `blocks.1`, `blocks.2`, `blocks.4` and `conv2`; blocks end in no ReLU.

As there, convolutions start with the variance of He by fan-out, the classifier with a standard deviation of 0.01.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_cli.models.convolution import conv1x1, conv3x3, start_as_he, start_small

STEM, LAST = 32, 1280  # channels at width 1
STAGES = (  # channels at width 1, blocks, stride of the first one
    (16, 1, 1),
    (24, 2, 1),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
)


class CifarMobileNetV2(nn.Module):
    """`width` is a factor on all channels but those of the embedding, which never has fewer than 1,280.

    Blocks have `expansion` times as many channels within, those of the first stage as many. Pictures of any size.
    """

    def __init__(self, *, num_classes: int, in_channels: int, width: float = 1.0, expansion: int = 6) -> None:
        super().__init__()
        if int(STAGES[0][0] * width) < 1 or expansion < 1:
            raise ValueError(f"needs width >= 1/16 and expansion >= 1, not {width} and {expansion}")
        channels, embedding = int(STEM * width), int(LAST * max(1.0, width))
        self.conv1 = _activated(conv3x3(in_channels, channels, stride=2))
        self.blocks = nn.ModuleList()
        for number, (wide, blocks, stride) in enumerate(STAGES):
            inner, channels_out = expansion if number else 1, int(wide * width)
            self.blocks.append(_stage(channels, channels_out, blocks, stride, inner))
            channels = channels_out
        self.conv2 = _activated(conv1x1(channels, embedding))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        classifier = nn.Linear(embedding, num_classes)
        self.classifier = nn.Sequential(classifier)
        start_as_he(self)
        start_small(classifier)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.conv1(pictures)
        for stage in self.blocks:
            features = stage(features)
        logits: Tensor = self.classifier(self.avgpool(self.conv2(features)).flatten(1))
        return logits


class InvertedResidual(nn.Module):
    """1x1 up, 3x3 in each channel, 1x1 down; a shortcut where neither size nor width changes."""

    def __init__(self, in_channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.is_residual = stride == 1 and in_channels == width
        self.conv = nn.Sequential(
            *_activated(conv1x1(in_channels, inner)),
            *_activated(conv3x3(inner, inner, stride, groups=inner)),
            conv1x1(inner, width),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.conv(features)
        return features + residual if self.is_residual else residual


def _stage(in_channels: int, width: int, blocks: int, stride: int, expansion: int) -> nn.Sequential:
    channels = [in_channels, *[width] * (blocks - 1)]
    strides = [stride, *[1] * (blocks - 1)]
    row = (InvertedResidual(c, width, s, expansion) for c, s in zip(channels, strides, strict=True))
    return nn.Sequential(*row)


def _activated(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())
