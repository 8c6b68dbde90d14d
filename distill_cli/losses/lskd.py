"""Logit standardisation: another loss, of z-scores: (logits - mean) / (standard deviation + 10⁻⁷) of each row.

Sun, Ren, Li, Wang, Cao 2024, arXiv:2403.01427. The temperature becomes a multiple of each sample's own spread, for
student and teacher apart, so that the student need not match how large its teacher's logits are. The config's
`temperature` is the paper's base temperature: 2 or 3 there.

The trap: z-scores blow up where the spread is next to nothing. A row whose logits are all the same (a classifier
that starts from zeros) has z-scores 0 and gets no gradient, where the published code gives it 10⁷ times the usual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.linalg import vector_norm

from distill_cli.losses.outputs import Outputs, at_least_float32, centred
from distill_cli.losses.soften import Temperature

LogitLoss = Callable[[Outputs, Outputs, Tensor, Temperature], Tensor]
EPSILON = 1e-7  # the authors'


class LogitStandardization:
    def __init__(self, of: LogitLoss) -> None:
        if not callable(of) or hasattr(of, "fit"):
            raise ValueError("of must be a loss between logits without parts of its own, such as kd or dkd")
        self.of = of

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        return self.of(standardised(student), standardised(teacher), labels, temperature)


def standardised(outputs: Outputs) -> Outputs:
    """The same with z-scores for logits."""
    logits = centred(at_least_float32(outputs.logits))
    deviation = vector_norm(logits, dim=-1, keepdim=True) / max(1, logits.shape[-1] - 1) ** 0.5
    return replace(outputs, dense=logits / torch.where(deviation > 0, deviation + EPSILON, torch.inf))
