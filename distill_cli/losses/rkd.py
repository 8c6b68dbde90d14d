"""Relational knowledge distillation: w_d · ℓ(d_ij / mean d) + w_a · ℓ(cos ∠_ijk), mean over pairs and triples.

ℓ is the smooth L1 distance between student and teacher, d_ij the distance of two samples' embeddings, ∠_ijk the
angle at sample i between j and k. Park et al. 2019, arXiv:1904.05068. Both means count samples with themselves
(distance 0, cosine 0 or 1), as the published code does; the mean distance does not.

The trap: written down as it reads, the angles want a tensor (batch, batch, width). By the law of cosines they
follow from the distances, so that the width is gone after one product of matrices; the batch³ angles pass through
in blocks and are not kept. Samples whose embeddings are equal have distance 0, no angle, and no gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature

BLOCK = {"cpu": 1 << 18, "cuda": 1 << 24}  # angles at a time: what a cache holds; enough to keep a GPU busy
ROUNDING = 16 * torch.finfo(torch.float64).eps  # what is left of |x|² + |y|² - 2 x·y where x = y, relatively


class RelationalKnowledgeDistillation:
    """`distance` and `angle` are the weights of the two parts."""

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        self.distance, self.angle = distance, angle

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        of_student, of_teacher = relative_distances(student.embedded), relative_distances(teacher.embedded)
        loss = self.distance * F.smooth_l1_loss(of_student, of_teacher)
        angles: Tensor = _AngleLoss.apply(of_student.square(), of_teacher.square())
        return loss + self.angle * angles


def relative_distances(rows: Tensor) -> Tensor:
    """Between all rows, over the mean of those between two different ones, (rows, rows).

    Products are summed in float64: of rows close to each other little else than rounding would be left.
    """
    exact = rows.double()
    exact = exact - exact.mean(dim=0)
    norms = exact.square().sum(dim=1)
    both = norms[:, None] + norms
    squared = both - 2 * exact @ exact.T
    differ = squared > ROUNDING * both
    distances = squared.where(differ, 1).sqrt().where(differ, 0)
    mean = distances.sum() / max(1, len(rows) * (len(rows) - 1))
    return (distances / mean.where(mean > 0, 1)).to(rows.dtype)


class _AngleLoss(Function):
    """The mean smooth L1 distance of all cosines, from squared distances; its gradient in the same pass.

    cos ∠_ijk = w_ij w_ik (s_ij + s_ik - s_jk) / 2 with squared distances s and w = 1 / √s.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        rows, total = len(student), student.new_zeros(())
        by_side, by_far_side = torch.zeros_like(student), torch.zeros_like(student)
        inverse, inverse_of_teacher = _inverse_root(student), _inverse_root(teacher)
        step = max(1, BLOCK[student.device.type] // rows**2)
        for start in range(0, rows, step):
            at = slice(start, start + step)
            cosines = _cosines(student, inverse, at)
            pull = cosines - _cosines(teacher, inverse_of_teacher, at)
            slope = pull.clamp(-1, 1)  # of the smooth L1 distance, which is slope · (pull - slope / 2)
            total += torch.dot(slope.flatten(), pull.sub_(slope, alpha=0.5).flatten())
            by_side[at] = -inverse[at].square() * cosines.mul_(slope).sum(dim=2)
            slope.mul_(inverse[at, None, :])
            by_side[at] += inverse[at] * slope.sum(dim=2)
            by_far_side -= slope.mul_(inverse[at, :, None]).sum(dim=0)
        ctx.save_for_backward(by_side.add_(by_far_side, alpha=0.5).div_(rows**3))
        return total / rows**3

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None


def _inverse_root(squared: Tensor) -> Tensor:
    """0 where there is no distance, and so no direction."""
    return squared.where(squared > 0, torch.inf).rsqrt()


def _cosines(squared: Tensor, inverse: Tensor, at: slice) -> Tensor:
    """Of the angles at some samples, (of them, rows, rows)."""
    sides = inverse[at] / 2, inverse[at]
    sums = squared[at, :, None] + squared[at, None, :]
    return sums.sub_(squared).mul_(sides[0][:, :, None]).mul_(sides[1][:, None, :])
