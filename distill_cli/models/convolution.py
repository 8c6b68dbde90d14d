"""What the networks of CIFAR are built of, convolutions without a bias (batch norm follows), and how they start."""

from __future__ import annotations

from torch import nn


def conv1x1(in_channels: int, width: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, width, 1, stride, groups=groups, bias=False)


def conv3x3(in_channels: int, width: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A picture of n pixels has n / stride after it, rounded up: none is too small."""
    return nn.Conv2d(in_channels, width, 3, stride, padding=1, groups=groups, bias=False)


def start_as_he(model: nn.Module) -> None:
    """Convolutions normal with the variance 2 / (kernel's pixels · filters), by fan-out; biases 0.

    He et al. 2015, arXiv:1502.01852.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_small(classifier: nn.Linear) -> None:
    """Normal with a standard deviation of 0.01, and no bias."""
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
