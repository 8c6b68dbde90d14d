"""Flow of the solution procedure: Σ over neighbouring layers of the mean of (G_student - G_teacher)².

G says what two layers of one network have to do with each other: the mean over pixels of the products of their
maps, (channels, next channels) for each sample. Networks that solve a problem in the same steps have the same
G, however deep they are. Yim, Joo, Bae, Kim 2017, "A Gift from Knowledge Distillation" (CVPR 2017, no arXiv
id).

The traps: where the next maps are smaller, the larger ones are averaged to their size (RepDistiller; the paper
takes maxima). The products are not spread out over pixels: G is one matrix product a sample. G of both must
have one shape: where channels differ, a 1x1 convolution gives the student the teacher's (the paper has none).
The paper and RepDistiller train with this loss first and with labels afterwards; here both run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from distill_cli.losses.connectors import connectors_of, map_pairs, same_size, size_of
from distill_cli.losses.feature_maps import require_maps
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class FlowOfSolution(nn.Module):
    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for fewer than two pairs of layers, or other features than maps."""
        require_maps(student, teacher, "fsp", pairs=2)
        self.connectors = connectors_of(map_pairs(student, teacher), identity=True)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = map_pairs(student, teacher)
        own = flows([connect(maps) for connect, (maps, _) in zip(self.connectors, pairs, strict=True)])
        theirs = flows([maps for _, maps in pairs])
        return torch.stack([(a - b).square().mean() for a, b in zip(own, theirs, strict=True)]).sum()


def flows(maps: Sequence[Tensor]) -> list[Tensor]:
    """Of each layer and the next one, (batch, channels, next channels)."""
    return [_flow(*same_size(*layers)) for layers in pairwise(maps)]


def _flow(first: Tensor, second: Tensor) -> Tensor:
    height, width = size_of(first)
    return first.flatten(2) @ second.flatten(2).mT / (height * width)
