"""Fully connected networks: the students of Hinton et al. 2015 (arXiv:1503.02531), and smaller ones.

`fc` is the classifier, so its input is the embedding.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Mlp(nn.Module):
    """`depth` hidden ReLU layers of `width` units on the flattened picture; depth 0 is a linear model."""

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: tuple[int, int],
        depth: int,
        width: int,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth < 0 or width < 1:
            raise ValueError(f"needs depth >= 0 and width >= 1, not {depth} and {width}")
        height, picture_width = image_size
        sizes = [in_channels * height * picture_width, *[width] * depth]
        layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(input_dropout)]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(sizes[-1], num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(pictures))
        return logits
