"""Hierarchical context: the mean square of (student - teacher), at several scales, as a weighted mean.

The scales are the maps as they are (weight 1), and averaged to 4, 2 and 1 pixels a side (1/2, 1/4, 1/8), as far
as this is smaller than they are. Chen, Liu, Zhao, Jia 2021, arXiv:2104.09044; it is the distance in `reviewkd`.
The trap: weights are of the scales that there are, so that they always add up to 1. Averaging is linear, so it
is the difference that is averaged.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.connectors import size_of

SCALES = (4, 2, 1)


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Of one pair of maps, (batch, channels, height, width)."""
    difference = student - teacher
    total, weight, weights = difference.square().mean(), 1.0, 1.0
    for side in SCALES:
        if side < min(size_of(difference)):
            weight /= 2
            total = total + weight * F.adaptive_avg_pool2d(difference, side).square().mean()
            weights += weight
    return total / weights
