"""Decoupled knowledge distillation: T² · (α · TCKD + β · NCKD), mean over the batch.

TCKD is the KL between teacher's and student's (target, not target), NCKD the KL among the other classes, each at
temperature T. Zhao, Cui, Song, Qiu, Liang 2022, arXiv:2203.08679. `kd` is TCKD + (1 - p) · NCKD with the teacher's
target probability p: a sure teacher says next to nothing about the other classes there, β says it here.

The trap: α is TCKD's weight, not the config's `alpha`. And β = 8 is large in the first epochs, when the student's
errors are: the authors raise the whole term over 20 of 240 epochs (`weight_schedule`). `target.py` says which class
is the target.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, scaled_mean
from distill_cli.losses.target import against_others, others, target_of


class DecoupledDistillation:
    def __init__(self, alpha: float = 1.0, beta: float = 8.0) -> None:
        self.alpha, self.beta = alpha, beta

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        target = target_of(labels, teacher)
        log_student = against_others(student.logits, target, temperature)
        log_teacher = against_others(teacher.logits, target, temperature)
        target_kl = _kl_of_odds(log_student.gather(-1, target), log_teacher.gather(-1, target)).squeeze(-1)
        other_kl = (others(log_teacher, target).exp() * (log_teacher - log_student)).sum(dim=-1)
        return scaled_mean(self.alpha * target_kl + self.beta * other_kl, temperature)


def _kl_of_odds(student: Tensor, teacher: Tensor) -> Tensor:
    """KL between two yes-or-no distributions, from the log-odds of yes."""
    yes = teacher.sigmoid() * (logsigmoid(teacher) - logsigmoid(student))
    return yes + (-teacher).sigmoid() * (logsigmoid(-teacher) - logsigmoid(-student))
