"""Overhaul of feature distillation: Σ d(student, max(teacher, m)) over a layer's units, mean over the batch.

Both before the last ReLU of a layer. d is the square of the difference where the teacher is active or the
student lies above the target, and 0 elsewhere: how far below 0 a unit lies is not seen behind the ReLU. m < 0
is a margin for each channel, the mean of the teacher's negative responses. Layers are summed with half the
weight for each one nearer to the input. Heo, Kim, Yun, Park, Kwak, Choi 2019, arXiv:1904.01866.

The traps: the authors' code derives m from the batch norm in front of the ReLU, which does not know it where a
shortcut is added in between, or where there is none. Here it is what the paper defines, a mean: over all that
was seen in training so far, kept in buffers (float64: counts are large), so that it settles, and a resumed run
goes on with it. And it is a sum over units: what the weight means depends on the size of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distill_cli.losses.connectors import connectors_of, map_pairs, same_size
from distill_cli.losses.feature_maps import halving_sum, require_maps
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class OverhauledDistillation(nn.Module):
    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for other features than maps."""
        require_maps(student, teacher, "ofd")
        pairs = map_pairs(student, teacher)
        self.connectors = connectors_of(pairs, batch_norm=True)
        self.margins = nn.ModuleList(NegativeMean(theirs.shape[1]) for _, theirs in pairs)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = [same_size(*pair) for pair in map_pairs(student, teacher)]
        return halving_sum(
            [
                partial_l2(connect(own), theirs, margin(theirs))
                for connect, margin, (own, theirs) in zip(self.connectors, self.margins, pairs, strict=True)
            ]
        )


class NegativeMean(nn.Module):
    """The mean of each channel's negative responses in all maps seen in training; 0 where there was none."""

    total: Tensor
    count: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(channels, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, maps: Tensor) -> Tensor:
        """With these, (channels, 1, 1)."""
        if self.training:
            self.total += maps.clamp(max=0).sum(dim=(0, 2, 3))
            self.count += (maps < 0).sum(dim=(0, 2, 3))
        return (self.total / self.count.clamp(min=1)).to(maps.dtype)[:, None, None]


def partial_l2(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Of one layer, both (batch, channels, height, width) before the activation."""
    above = student - teacher.maximum(margin)
    counts = (teacher > 0) | (above > 0)
    return (above * counts).square().sum() / len(student)
