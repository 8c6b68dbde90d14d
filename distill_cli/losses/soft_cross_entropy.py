"""Cross-entropy with soft targets: -T² · Σ softmax(teacher / T) · log softmax(student / T), mean over the batch.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531. It is `kd` plus T² times the teacher's entropy, which no student
can change: the gradients are equal, the values are not.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, scaled_mean, soften


class SoftCrossEntropy:
    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        log_student, log_teacher = soften(student, teacher, temperature)
        return -scaled_mean((log_teacher.exp() * log_student).sum(dim=-1), temperature)
