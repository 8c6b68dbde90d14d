"""Knowledge distillation: T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch.

Hinton, Vinyals, Dean 2015, arXiv:1503.02531. The trap: the gradient of the KL shrinks with 1 / T², so without
the factor alpha means something else at every temperature; and a mean over classes as well as samples
(`KLDivLoss` as it comes) makes the term weaker by the number of classes.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs, at_least_float32


class KnowledgeDistillation:
    def __call__(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: float) -> Tensor:
        return temperature**2 * kl_divergence(student.logits, teacher.logits, temperature).mean()


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """KL from the teacher's softened probabilities to the student's, in nats, (batch,)."""
    log_student = F.log_softmax(at_least_float32(student_logits) / temperature, dim=-1)
    log_teacher = F.log_softmax(at_least_float32(teacher_logits) / temperature, dim=-1)
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=-1)
