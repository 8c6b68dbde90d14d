"""The opinion of several teachers as one teacher's logits.

Their logits are averaged, or their probabilities at T = 1 (as logits again, so that temperature stays free):
log Σ w · softmax(z). Hinton, Vinyals, Dean 2015 (arXiv:1503.02531, section 3) name both: the arithmetic mean of
probabilities, and their geometric mean, which is the mean of logits but for a shift.

Members are added up one after the other, in their order. For logits a row's bits then depend on no other row;
exponentials round otherwise at the end of a tensor, so for probabilities they may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from distill_cli.losses.outputs import Outputs, at_least_float32


@dataclass(frozen=True)
class Average:
    """`weights` add up to 1, one a member."""

    of: Literal["logits", "probabilities"]
    weights: tuple[float, ...]

    def __call__(self, members: Sequence[Outputs]) -> Outputs:
        """Raises `ConfigError` where a member has only its largest logits."""
        return Outputs(self.logits([member.logits for member in members]))

    def logits(self, members: Sequence[Tensor]) -> Tensor:
        """(batch, classes), of as many tensors as there are weights."""
        assert len(members) == len(self.weights), f"{len(members)} members, {len(self.weights)} weights"
        each = [(w, at_least_float32(z)) for w, z in zip(self.weights, members, strict=True) if w > 0]
        if self.of == "logits":
            return reduce(torch.add, [w * logits for w, logits in each])
        return reduce(torch.logaddexp, [math.log(w) + logits.log_softmax(dim=-1) for w, logits in each])
