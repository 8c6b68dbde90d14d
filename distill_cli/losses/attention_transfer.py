"""Attention transfer: the mean of (q_student - q_teacher)², summed over pairs of layers.

q is where a layer looks: Σ |features|^p over channels, one number a position, divided by its norm over the
positions of the sample. So student and teacher may differ in channels; larger maps are averaged to the size of
the smaller ones. Zagoruyko and Komodakis 2017, arXiv:1612.03928.

The trap: the paper writes ‖q_student - q_teacher‖ and β / 2, its code and RepDistiller take the mean over
positions and samples. The value is tiny, and the weight of 1000 belongs to it. It shrinks with the number of
positions: on maps of a few pixels the same weight drowns the hard loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.connectors import maps_of_one_size
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature

NAME = "attention_transfer"


class AttentionTransfer:
    """`power` is p: the larger, the more the strongest channel counts."""

    def __init__(self, power: float = 2.0) -> None:
        if power < 1:
            raise ValueError(f"power={power:g}: must be at least 1: below, what is 0 has no gradient")
        self.power = power

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """There are no parts. Raises `ConfigError` for features in which there is nowhere to look."""
        maps_of_one_size(student, teacher, NAME)

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        differences = [
            self.attention(own) - self.attention(theirs)
            for own, theirs in maps_of_one_size(student, teacher, NAME)
        ]
        return torch.stack([difference.square().mean() for difference in differences]).sum()

    def attention(self, maps: Tensor) -> Tensor:
        """Of maps, (batch, channels, height, width): (batch, positions), in rows of norm 1."""
        strength = maps.square() if self.power == 2 else maps.abs().pow(self.power)
        return F.normalize(strength.mean(dim=1).flatten(1))
