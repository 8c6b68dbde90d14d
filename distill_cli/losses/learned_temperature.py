"""A temperature that is learned against the student: T = low + (high - low) · sigmoid(x + x₀).

Li et al. 2023, CTKD, arXiv:2211.16231. x is one number, or a small network's answer to a sample's predictions. It
trains with the student's optimizer, on the same loss, with its gradient times -λ: the student makes the loss
smaller, the temperature makes it larger, ever more so while λ grows from 0. x begins at 0 and x₀ is where T
starts, so weight decay draws it there (in the published code, where x begins at 1, to the middle).

The trap: T² is part of what the temperature makes larger, as in the published code. Held constant there, the
KL alone falls with 1 / T², and the temperature would run down to `low` whatever student and teacher say.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from distill_cli.errors import ConfigError
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature, log_probabilities
from distill_cli.schedules import Learned

HIDDEN = 256  # units of the network that looks at a sample


class LearnedTemperature(nn.Module):
    """Gives a tensor, () or (batch, 1), that requires grad."""

    def __init__(self, schedule: Learned) -> None:
        super().__init__()
        self.low, self.span = schedule.low, schedule.high - schedule.low
        share = (schedule.start - schedule.low) / self.span
        self.at_start = math.log(share / (1 - share))
        self.per_sample = schedule.per_sample

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        if self.per_sample:
            self.network = _network(student.logits.shape[-1] + teacher.logits.shape[-1])
        else:
            self.number = nn.Parameter(torch.zeros(()))

    def forward(self, student: Outputs, teacher: Outputs, strength: float) -> Temperature:
        """`strength` is λ. Raises `ConfigError` for a teacher without all logits: their tail knows no gradient."""
        if teacher.dense is None:
            raise ConfigError(
                "a learned temperature needs all logits of the teacher, and soft_labels=top_k keeps some; "
                "use soft_labels=float16 (or int8), or temperature_schedule=constant"
            )
        value = self.network(_predictions(student, teacher)) if self.per_sample else self.number
        reversed_: Tensor = _Reversal.apply(value, strength)
        return self.low + self.span * torch.sigmoid(reversed_ + self.at_start)


def _predictions(student: Outputs, teacher: Outputs) -> Tensor:
    """Probabilities of both at T = 1, with no way back to the student, (batch, classes of both)."""
    with torch.no_grad():
        both = [log_probabilities(outputs.logits, 1.0).exp().float() for outputs in (student, teacher)]
        return torch.cat(both, dim=-1)


def _network(width: int) -> nn.Sequential:
    """It answers 0 until it has learned something."""
    last = nn.Linear(HIDDEN, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), last)


class _Reversal(Function):
    """The same value; the gradient times -strength (Ganin and Lempitsky 2015, arXiv:1409.7495)."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return outer * -ctx.strength, None
