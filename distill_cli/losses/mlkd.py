"""Multi-level logit distillation: at several temperatures, what a sample, a batch and a class look like.

For each temperature T, with probabilities P of the student and Q of the teacher, (batch, classes), at T:
  instance  T² · KL(Q ‖ P), mean over the batch
  batch     ‖P Pᵀ - Q Qᵀ‖² / batch: which samples are predicted alike
  classes   ‖Pᵀ P - Qᵀ Q‖² / classes: which classes are predicted together
Jin, Wang, Lin 2023, CVPR, "Multi-Level Logit Distillation". Temperatures are added up: the published 2, 3, 4, 5, 6
are `factors` of the temperature 4, so that it stays the one number to sweep, schedule or learn.

The traps: the correlations carry no T², and vanish at a high T. The published code masks confident samples and
classes, but multiplies the masks onto means that are taken already: what is left of them is a factor of about ½
on some terms. There is no mask here. It takes some temperatures of its second view from the first; here each view
has them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.soften import Temperature, log_probabilities, scaled_mean

PUBLISHED = (0.5, 0.75, 1.0, 1.25, 1.5)  # of the temperature


class MultiLevel:
    """Where rows 0, 2, … and 1, 3, … are two views of the same samples, batches are looked at view by view."""

    def __init__(
        self,
        factors: Sequence[float] = PUBLISHED,
        instance: float = 1.0,
        batch: float = 1.0,
        classes: float = 1.0,
    ) -> None:
        if not factors or min(factors) <= 0:
            raise ValueError(f"factors={list(factors)} must be numbers above 0, at least one")
        self.factors = tuple(factors)
        self.instance, self.batch, self.classes = instance, batch, classes

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        log_p, log_q = (self._soften(outputs.logits, temperature) for outputs in (student, teacher))
        p, q = log_p.exp(), log_q.exp()  # (temperatures, batch, classes)
        divergences = (q * (log_q - log_p)).sum(dim=-1).unbind()
        each = [scaled_mean(row, f * temperature) for f, row in zip(self.factors, divergences, strict=True)]
        views, (samples, classes) = views_in(student.index), p.shape[1:]
        p, q = _by_view(p, views), _by_view(q, views)
        return (
            self.instance * torch.stack(each).sum()
            + self.batch / samples * gram_distance(p, q)
            + self.classes / (classes * views) * gram_distance(p.mT, q.mT)
        )

    def _soften(self, logits: Tensor, temperature: Temperature) -> Tensor:
        """Log-probabilities, (temperatures, batch, classes)."""
        logits = at_least_float32(logits)
        return log_probabilities(torch.stack([logits / factor for factor in self.factors]), temperature)


def views_in(index: Tensor | None) -> int:
    """2 where samples stand in pairs, else 1. Looks at the host's memory alone."""
    if index is None or len(index) % 2:
        return 1
    samples = index.numpy()
    return 2 if np.array_equal(samples[0::2], samples[1::2]) else 1


def _by_view(probabilities: Tensor, views: int) -> Tensor:
    """From (temperatures, batch, classes) to (temperatures, views, batch / views, classes)."""
    temperatures, _, classes = probabilities.shape
    return probabilities.reshape(temperatures, -1, views, classes).transpose(1, 2)


def gram_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """‖S Sᵀ - T Tᵀ‖², added up over all matrices of a stack, (..., rows, columns) → ()."""
    distance: Tensor = _GramDistance.apply(student, teacher)
    return distance


class _GramDistance(Function):
    """One product forward and one back, where autograd would take two and four.

    S Sᵀ - T Tᵀ is the symmetric part of (S - T)(S + T)ᵀ, which also keeps the digits that a difference of two
    products loses when the student is near its teacher. The gradient is 4 (S Sᵀ - T Tᵀ) S, and so for T.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        product = (student - teacher) @ (student + teacher).mT
        difference = (product + product.mT) / 2  # (..., rows, rows)
        ctx.save_for_backward(student, teacher, difference)
        return difference.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, Tensor | None]:
        student, teacher, difference = ctx.saved_tensors
        of_student, of_teacher = ctx.needs_input_grad
        return (
            difference @ student * (4 * outer) if of_student else None,
            difference @ teacher * (-4 * outer) if of_teacher else None,
        )
