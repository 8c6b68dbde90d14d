"""Normalised knowledge distillation: -p · log q - γ · T² · Σ p̂ · log q̂, mean over the batch.

p and q are the teacher's and student's probabilities of the target class at T = 1; p̂ and q̂ those of the other
classes at temperature T, each normalised to sum up to 1. Yang, Zeng, Li, Zhang, Yuan, Li 2023, arXiv:2303.13005.
The authors' published form, with the target part in it: the weight of the hard loss comes on top.

The trap: these are cross-entropies. The least value is not 0 and grows with T², and a student that equals its
teacher is still drawn towards the target. `target.py` says which class that is.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, log_probabilities, scaled_mean
from distill_cli.losses.target import against_others, others, target_of


class NormalizedDistillation:
    def __init__(self, gamma: float = 1.5) -> None:
        self.gamma = gamma

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        target = target_of(labels, teacher)
        log_q, log_p = (log_probabilities(of.logits, 1.0).gather(-1, target) for of in (student, teacher))
        log_student = against_others(student.logits, target, temperature)
        log_teacher = against_others(teacher.logits, target, temperature)
        among_others = (others(log_teacher, target).exp() * log_student).sum(dim=-1)
        return -(log_p.exp() * log_q).mean() - self.gamma * scaled_mean(among_others, temperature)
