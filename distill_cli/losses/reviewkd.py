"""Knowledge review: the teacher's maps of a layer are learned by the student's of this and all deeper layers.

From the deepest layer up: what was made of the deeper ones is enlarged and fused with this layer's maps, both
weighed pixel by pixel (attention-based fusion), and a 3x3 convolution makes the teacher's channels of it. The
loss is the sum of `hierarchical_context` over layers. Chen, Liu, Zhao, Jia 2021, arXiv:2104.09044.

The traps: while the fusions are new, the loss is large, so the authors raise its weight over 20 of 240 epochs
(`weight_schedule`). Their deepest layer is the pooled embedding as a map of one pixel; the usual layers lack
it, name it as one more pair (`[avgpool,avgpool]`). Attention to the deeper maps is computed before they are
enlarged, which a 1x1 convolution cannot tell from afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.losses.connectors import Connector, Size, map_pairs, size_of
from distill_cli.losses.feature_maps import require_maps
from distill_cli.losses.hierarchical_context import hierarchical_context
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class KnowledgeReview(nn.Module):
    """The fusions have as many channels as the student's deepest layer, at most `most_channels`."""

    def __init__(self, most_channels: int = 512) -> None:
        super().__init__()
        self.most_channels = most_channels

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for other features than maps."""
        require_maps(student, teacher, "reviewkd")
        pairs = map_pairs(student, teacher)
        channels = min(self.most_channels, pairs[-1][0].shape[1])
        self.fusions = nn.ModuleList(
            Fusion(own.shape[1], channels, theirs.shape[1], is_deepest=number == len(pairs))
            for number, (own, theirs) in enumerate(pairs, start=1)
        )

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        losses, deeper = [], None
        pairs = map_pairs(student, teacher)
        for fusion, (own, theirs) in zip(reversed(self.fusions), reversed(pairs), strict=True):
            review, deeper = fusion(own, deeper, size_of(theirs))
            losses.append(hierarchical_context(review, theirs))
        return torch.stack(losses).sum()


class Fusion(nn.Module):
    """One layer's maps with what was made of the deeper ones."""

    def __init__(self, channels: int, fused: int, teacher_channels: int, *, is_deepest: bool) -> None:
        super().__init__()
        self.own = Connector(channels, fused, batch_norm=True)
        self.attention = None if is_deepest else Attention(fused)
        self.widen = nn.Conv2d(fused, teacher_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(teacher_channels)

    def forward(self, student: Tensor, deeper: Tensor | None, size: Size) -> tuple[Tensor, Tensor]:
        """What stands against the teacher's maps, of `size`, and what the next layer is fused with."""
        fused = self.own(student)
        if self.attention is not None:
            fused = self.attention(fused, deeper)
        fused = enlarged(fused, size)
        review = self.widen(fused)
        if self.training and review.numel() == review.shape[1]:
            return review, fused  # a single value has no variance
        return self.norm(review), fused


class Attention(nn.Module):
    """A weight in (0, 1) for each pixel of two maps, which are added up in the size of the first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_own = nn.Conv2d(channels, 2, 1)
        self.of_deeper = nn.Conv2d(channels, 2, 1, bias=False)

    def forward(self, own: Tensor, deeper: Tensor) -> Tensor:
        size = size_of(own)
        scores = self.of_own(own) + enlarged(self.of_deeper(deeper), size)
        first, second = scores.sigmoid().split(1, dim=1)  # (batch, 1, height, width) each
        both: Tensor = own * first + enlarged(deeper, size) * second
        return both


def enlarged(maps: Tensor, size: Size) -> Tensor:
    """In another size, by repeating pixels as the authors do."""
    return maps if size_of(maps) == size else F.interpolate(maps, size)
