"""Max-norm: the weights into each unit are no longer than a limit (Srebro and Shraibman 2005; beside dropout,
Hinton et al. 2012, arXiv:1207.0580).

A projection after each step, not a penalty: weights below the limit are left alone, so that a large learning
rate can go with dropout and no weight grows away.
"""

from __future__ import annotations

import torch
from torch import nn


def limit_norms(model: nn.Module, limit: float) -> None:
    """Scale the weights into each unit, or each channel of a convolution, to a norm of at most `limit`, in place.

    Matrices and kernels of any shape (units, ...); vectors (biases, norms) and frozen weights stay as they are.
    """
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2 and weight.requires_grad:
                norms = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)
                weight.mul_(limit / norms.clamp(min=limit))
