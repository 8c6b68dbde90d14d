"""Transformed teacher matching: KL(p^γ / Σ p^γ ‖ q), mean over the batch; weighted, each sample counts Σ p^γ.

p and q are the teacher's and student's probabilities at T = 1. Zheng and Yang 2024, arXiv:2402.11148: TTM, and WTTM
where weighted. The power γ is the teacher's temperature, γ = 1 / T, and the student has none; the config's
`temperature` is not used, and there is no T².

The trap: Σ p^γ runs from 1 (a sure teacher) to classes^(1 - γ), about 63 for 100 classes and γ = 0.1. So the weight
of the weighted loss is much smaller than that of the plain one.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, log_probabilities


class TransformedTeacherMatching:
    def __init__(self, power: float = 0.3, weighted: bool = False) -> None:
        if not power > 0:
            raise ValueError(f"power={power} must be above 0; 1 / temperature, so 0.25 is as soft as T = 4")
        self.power, self.weighted = power, weighted

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        log_powers = self.power * log_probabilities(teacher.logits, 1.0)  # (batch, classes)
        log_sum = log_powers.logsumexp(dim=-1)  # (batch,)
        kl = F.kl_div(
            log_probabilities(student.logits, 1.0),
            log_powers - log_sum[:, None],
            reduction="none",
            log_target=True,
        ).sum(dim=-1)
        return (log_sum.exp() * kl if self.weighted else kl).mean()
