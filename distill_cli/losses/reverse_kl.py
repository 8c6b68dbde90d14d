"""Reverse KL: T² · KL(softmax(student / T) ‖ softmax(teacher / T)), mean over the batch.

Gu, Dong, Wei, Huang 2023 (MiniLLM), arXiv:2306.08543, here for classes instead of texts. `kd` punishes a student
that misses any of the teacher's classes, this one a student that sees something where its teacher sees nothing: it
settles on some of the teacher's modes and leaves the others.

The trap: a student that is sure of one class learns little, since its own probabilities weigh the errors.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, scaled_mean, soften


class ReverseKl:
    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        log_student, log_teacher = soften(student, teacher, temperature)
        return scaled_mean((log_student.exp() * (log_student - log_teacher)).sum(dim=-1), temperature)
