"""Activation boundaries: Σ relu(m - sign(teacher) · student)² over a layer's units, mean over the batch.

Both before their activation; sign is 1 where the teacher's unit is active and -1 elsewhere; m is a margin. So
the student's units are to be active where the teacher's are, and how strongly is left to them. Layers are
summed with half the weight for each one nearer to the input. Heo, Lee, Yun, Choi 2019, arXiv:1811.03233.

The traps: behind a ReLU a student's unit that is 0 could not get to the other side, so it takes `preactivation:
true`. It is a sum over units: what the weight means depends on the size of the maps. A student equal to its
teacher still pays for units that are closer to the boundary than m. The authors train with this loss first and
with labels afterwards; here both run side by side.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_cli.losses.connectors import connectors_of, map_pairs, same_size
from distill_cli.losses.feature_maps import halving_sum
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class ActivationBoundaries(nn.Module):
    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """1x1 convolutions with batch norm where channels differ; none elsewhere, as the authors have it."""
        self.connectors = connectors_of(map_pairs(student, teacher), batch_norm=True, identity=True)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = [same_size(*pair) for pair in map_pairs(student, teacher)]
        return halving_sum(
            [
                boundary_loss(connect(own), theirs, self.margin)
                for connect, (own, theirs) in zip(self.connectors, pairs, strict=True)
            ]
        )


def boundary_loss(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Of one layer, both (batch, channels, height, width) before the activation."""
    away = 1 - 2.0 * (teacher > 0)  # -1 where it is active; `where` would take five times as long
    return (margin + away * student).relu().square().sum() / len(student)
