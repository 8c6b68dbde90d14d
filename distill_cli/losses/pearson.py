"""Pearson's correlation of student and teacher, along any dimension."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

EPSILON = 1e-8  # added to the product of the norms, as in the published code of DIST


def correlation(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """Between -1 and 1, without that dimension. What does not vary correlates with nothing: 0, with no gradient."""
    student, teacher = (values - values.mean(dim=dim, keepdim=True) for values in (student, teacher))
    norms = vector_norm(student, dim=dim) * vector_norm(teacher, dim=dim)
    return (student * teacher).sum(dim=dim) / torch.where(norms > 0, norms + EPSILON, torch.inf)
