"""Correlation congruence: mean over i of |s_i - t_i| · |s_i+1 - t_i+1|, sample by sample in the order of the batch.

Peng et al. 2019, arXiv:1904.01802. The trap: the paper compares kernels between all samples of a batch. This is
what its author sent to RepDistiller, and what everybody's figures are of: the product of what the student misses of
a sample and of the next one, unit by unit. Which sample is the next is chance.

Two linear layers that train along take both embeddings to `width`, RepDistiller's 128, also where theirs are equal:
its weight belongs to that. Nothing but this small weight keeps the two from agreeing on a constant.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class CorrelationCongruence(nn.Module):
    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.width = width

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        self.embed_student = nn.Linear(student.embedded.shape[1], self.width)
        self.embed_teacher = nn.Linear(teacher.embedded.shape[1], self.width)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        missed: Tensor = (self.embed_student(student.embedded) - self.embed_teacher(teacher.embedded)).abs()
        return (missed[:-1] * missed[1:]).sum() / max(1, len(missed) - 1)
