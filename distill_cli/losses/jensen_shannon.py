"""Jensen-Shannon divergence: T² · (β · KL(p ‖ m) + (1 - β) · KL(q ‖ m)), m = β · p + (1 - β) · q, batch mean.

p and q are the teacher's and student's softened probabilities. Lin 1991 (IEEE Transactions on Information Theory
37-1); for distillation, with β, Agarwal et al. 2023 (GKD), arXiv:2306.13649. β = ½ is the symmetric one. No sample
costs more than T² · log 2, so that a teacher's gross errors pull less than in `kd`.

The trap: near agreement it is β · (1 - β) times `kd`, a quarter at β = ½; at the same alpha it is a weaker term.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, scaled_mean, soften


class JensenShannon:
    def __init__(self, beta: float = 0.5) -> None:
        if not 0 < beta < 1:
            raise ValueError(
                f"beta={beta} must be between 0 and 1; at the ends take loss=kd or loss=reverse_kl"
            )
        self.beta = beta

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        log_q, log_p = soften(student, teacher, temperature)
        log_m = torch.logaddexp(log_q + math.log1p(-self.beta), log_p + math.log(self.beta))
        of_p, of_q = log_p.exp() * (log_p - log_m), log_q.exp() * (log_q - log_m)
        return scaled_mean((self.beta * of_p + (1 - self.beta) * of_q).sum(dim=-1), temperature)
