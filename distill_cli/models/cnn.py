"""Plain convolutional networks, from the 144,261-parameter flower student to good teachers of small pictures.

One decision to know: convolutions keep the size and pooling rounds up, so that no picture is too small. With
the defaults, 3 channels and 5 classes: conv 64, pool 4, conv 128, global average pool, dense 512, dense 5.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Cnn(nn.Module):
    """A stage of 3x3 convolutions per entry of `widths`, max pooling between stages, average pooling after.

    `hidden` is the size of the dense layer before the classifier `fc`; 0 leaves it out.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        widths: Sequence[int] = (64, 128),
        convs_per_stage: int = 1,
        pool: int = 4,
        hidden: int = 512,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not widths or convs_per_stage < 1 or pool < 1 or hidden < 0:
            raise ValueError("needs at least one width, convs_per_stage >= 1, pool >= 1 and hidden >= 0")
        stages: list[nn.Module] = []
        channels = in_channels
        for width in widths:
            stages += [nn.MaxPool2d(pool, ceil_mode=True)] if stages else []
            stages.append(_stage(channels, width, convs_per_stage, batch_norm))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden or channels, num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        embedding = self.hidden(self.pool(self.stages(pictures)))
        logits: Tensor = self.fc(self.dropout(embedding))
        return logits


def _stage(in_channels: int, width: int, convs: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in [in_channels, *[width] * (convs - 1)]:
        layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm))
        layers += [nn.BatchNorm2d(width)] if batch_norm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
