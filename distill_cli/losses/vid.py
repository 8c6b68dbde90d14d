"""Variational information distillation: the mean of ½ · ((teacher - μ(student))² / σ² + log σ²) over a layer.

The negative log-likelihood of the teacher's features under a normal distribution whose mean μ is predicted from
the student's by three 1x1 convolutions, and whose variance σ² is learned for each channel: what cannot be
predicted costs less. It bounds the mutual information of the two from below. Layers are added up. Ahn, Hu,
Damianou, Lawrence, Dai 2019, arXiv:1904.05835.

The traps: σ² = log(1 + exp ρ) + ε must not start small, or the first steps explode (5 in the published code). The
value may be negative. The constant ½ · log 2π is left out, as published.
"""

from __future__ import annotations

from math import exp, log1p

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.losses.connectors import MapPair, map_pairs, same_size
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature

LEAST_VARIANCE = 1e-5


class VariationalInformation(nn.Module):
    """`variance` is what σ² is at first."""

    def __init__(self, variance: float = 5.0) -> None:
        super().__init__()
        if variance <= LEAST_VARIANCE:
            raise ValueError(f"variance={variance:g}: must be above {LEAST_VARIANCE:g}")
        self.variance = variance

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for kinds of features that cannot be compared."""
        self.predictions = nn.ModuleList(
            Prediction(own.shape[1], theirs.shape[1], self.variance)
            for own, theirs in _pairs(student, teacher)
        )

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = zip(self.predictions, _pairs(student, teacher), strict=True)
        return torch.stack([predict(own, theirs) for predict, (own, theirs) in pairs]).sum()


class Prediction(nn.Module):
    """Of a teacher's layer from a student's."""

    def __init__(self, channels: int, teacher_channels: int, variance: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(channels, teacher_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
        )
        softplus = variance - LEAST_VARIANCE
        rho = softplus + log1p(-exp(-softplus))
        self.rho = nn.Parameter(torch.full((teacher_channels,), rho))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean negative log-likelihood of maps, ()."""
        variance = F.softplus(self.rho) + LEAST_VARIANCE  # (channels,)
        square = (self.mean(student) - teacher).square()
        cost: Tensor = (square / variance[:, None, None]).mean() + variance.log().mean()
        return cost / 2


def _pairs(student: Outputs, teacher: Outputs) -> list[MapPair]:
    return [same_size(*pair) for pair in map_pairs(student, teacher)]
