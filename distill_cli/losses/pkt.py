"""Probabilistic knowledge transfer: KL(p^teacher ‖ p^student), where p_ij ∝ (1 + cos(x_i, x_j)) / 2 over j.

p_i says how near the other samples of the batch are to sample i, itself included. Passalis and Tefas 2018,
arXiv:1803.10837. The trap: the authors take the mean over all batch² terms, not the sum of each row. So the loss is
as many times smaller as there are samples, and its weight as large (30000). The small number that they add to
norms and probabilities is part of what is published.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature

SMALL = 1e-7


class ProbabilisticKnowledgeTransfer:
    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        of_student, of_teacher = neighbourhoods(student.embedded), neighbourhoods(teacher.embedded)
        ratio: Tensor = (of_teacher + SMALL) / (of_student + SMALL)
        return (of_teacher * ratio.log()).mean()


def neighbourhoods(rows: Tensor) -> Tensor:
    """Probabilities that say how near each row is to all of them, (rows, rows)."""
    directions = rows / (rows.norm(dim=1, keepdim=True) + SMALL)
    nearness: Tensor = (directions @ directions.T + 1) / 2
    return nearness / nearness.sum(dim=1, keepdim=True)
