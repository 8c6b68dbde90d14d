"""Knowledge distillation: T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531. The trap: the gradient of the KL shrinks with 1 / T², so without
the factor alpha means something else at every temperature; and a mean over classes as well as samples
(`KLDivLoss` as it comes) makes the term weaker by the number of classes.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import log_probabilities, soften


class KnowledgeDistillation:
    def __call__(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: float) -> Tensor:
        return temperature**2 * softened_kl(student, teacher, temperature).mean()


def softened_kl(student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
    """KL from the teacher's softened probabilities to the student's, in nats, (batch,).

    A lower bound of it where the teacher has only its largest logits (`soften`).
    """
    return _kl(*soften(student, teacher, temperature))


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The same between logits."""
    return _kl(log_probabilities(student_logits, temperature), log_probabilities(teacher_logits, temperature))


def _kl(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=-1)
