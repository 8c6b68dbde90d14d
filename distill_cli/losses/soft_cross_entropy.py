"""Cross-entropy with soft targets: -T² · Σ softmax(teacher / T) · log softmax(student / T), mean over the batch.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531. It is `kd` plus T² times the teacher's entropy, which no student
can change: the gradients are equal, the values are not.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs, at_least_float32


class SoftCrossEntropy:
    def __call__(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: float) -> Tensor:
        log_student = F.log_softmax(at_least_float32(student.logits) / temperature, dim=-1)
        target = F.softmax(at_least_float32(teacher.logits) / temperature, dim=-1)
        return -(temperature**2) * (target * log_student).sum(dim=-1).mean()
