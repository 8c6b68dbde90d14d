"""VGG with batch norm (Simonyan and Zisserman 2014, arXiv:1409.1556) as the CRD protocol has it for CIFAR.

One linear layer after average pooling in place of three, and 4x4 maps in the last two stages of a 32x32 picture:
the fourth pooling is left to pictures of 64 pixels and more. Pooling rounds up, so that no picture is too small.

One decision to know: modules are named as in the published CRD checkpoints (`block0.0`, `block0.1`, `classifier`),
so that these load. Features are found under `block0` to `block4`, each of which ends in its ReLU.

As in that code, convolutions (they have a bias) start with the variance of He by fan-out, the classifier with a
standard deviation of 0.01, all biases with 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from distill_cli.models.convolution import start_as_he, start_small

LARGE = 64  # pixels from which on the fourth pooling has something to pool


class Vgg(nn.Module):
    """Five stages of `convs` 3x3 convolutions with `widths` channels each, max pooling between them."""

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: tuple[int, int],
        convs: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512, 512),
    ) -> None:
        super().__init__()
        if len(convs) != 5 or len(widths) != 5 or min(*convs, *widths) < 1:
            raise ValueError(f"convs and widths must be five numbers each, not {list(convs)}, {list(widths)}")
        self.block0 = _stage(in_channels, widths[0], convs[0])
        self.block1 = _stage(widths[0], widths[1], convs[1])
        self.block2 = _stage(widths[1], widths[2], convs[2])
        self.block3 = _stage(widths[2], widths[3], convs[3])
        self.block4 = _stage(widths[3], widths[4], convs[4])
        self.pool0, self.pool1, self.pool2 = _halving(), _halving(), _halving()
        self.pool3 = _halving() if min(image_size) >= LARGE else nn.Identity()
        self.pool4 = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[4], num_classes)
        start_as_he(self)
        start_small(self.classifier)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.pool0(self.block0(pictures))
        features = self.pool1(self.block1(features))
        features = self.pool2(self.block2(features))
        features = self.pool3(self.block3(features))
        embedding = self.pool4(self.block4(features)).flatten(1)
        logits: Tensor = self.classifier(embedding)
        return logits


def _stage(in_channels: int, width: int, convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in [in_channels, *[width] * (convs - 1)]:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)


def _halving() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, ceil_mode=True)
