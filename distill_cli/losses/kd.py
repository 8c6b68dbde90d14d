"""Knowledge distillation: T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531. The trap: the gradient of the KL shrinks with 1 / T², so without
the factor alpha means something else at every temperature; and a mean over classes as well as samples
(`KLDivLoss` as it comes) makes the term weaker by the number of classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, log_probabilities, scaled_mean, soften


class KnowledgeDistillation:
    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        is_number = not isinstance(temperature, Tensor)
        if is_number and teacher.top is None and not teacher.logits.requires_grad:
            log_teacher = log_probabilities(teacher.logits, temperature)
            loss: Tensor = _MeanKl.apply(student.logits, log_teacher, temperature)
            return loss
        return scaled_mean(softened_kl(student, teacher, temperature), temperature)


class _MeanKl(Function):
    """The same loss with the gradient that one can write down, T / batch · (student's - teacher's probabilities).

    A third of the operations that autograd would record; for small students these are most of a step.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, log_teacher: Tensor, temperature: float) -> Tensor:
        log_student, teacher = log_probabilities(logits, temperature), log_teacher.exp()
        ctx.save_for_backward(log_student, teacher)
        ctx.temperature, ctx.dtype = temperature, logits.dtype
        kl = torch.sub(log_teacher, log_student).mul_(teacher).sum()
        ctx.rows = max(1, log_student.numel() // log_student.shape[-1])
        return kl.mul_(temperature**2 / ctx.rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        log_student, teacher = ctx.saved_tensors
        scale = outer * (ctx.temperature / ctx.rows)
        return log_student.exp().sub_(teacher).mul_(scale).to(ctx.dtype), None, None


def softened_kl(student: Outputs, teacher: Outputs, temperature: Temperature) -> Tensor:
    """KL from the teacher's softened probabilities to the student's, in nats, (batch,).

    A lower bound of it where the teacher has only its largest logits (`soften`).
    """
    return _kl(*soften(student, teacher, temperature))


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: Temperature = 1.0) -> Tensor:
    """The same between logits."""
    return _kl(log_probabilities(student_logits, temperature), log_probabilities(teacher_logits, temperature))


def _kl(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=-1)
