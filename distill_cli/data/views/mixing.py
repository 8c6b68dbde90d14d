"""Mixing two samples into one view: the partner and the weight come from the view's hash like all else.

A mixing is asked twice. `weights` turns uniform numbers into the sample's own share, on the host in float64;
it is called when a batch is planned. `__call__` mixes normalised pictures on the device.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Uniform = NDArray[np.float64]


class Mixing(Protocol):
    draws: int  # uniform numbers a picture, the partner's not counted

    def shares(self, uniform: Uniform) -> Uniform:
        """The part of each view that belongs to the sample itself, (batch,); the rest is its partner's."""
        ...

    def __call__(self, own: Tensor, partner: Tensor, share: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed pictures, and the share that the sample itself has in them."""
        ...


class _BetaShares:
    """The sample's share comes from Beta(beta, beta)."""

    def __init__(self, beta: float = 1.0) -> None:
        if beta <= 0:
            raise ValueError(f"beta={beta} must be above 0")
        self.beta = beta

    def shares(self, uniform: Uniform) -> Uniform:
        return beta_quantile(self.beta, uniform[:, 0])


class Mixup(_BetaShares):
    """`share · own + (1 - share) · partner`, arXiv:1710.09412."""

    draws = 1

    def __call__(self, own: Tensor, partner: Tensor, share: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        return torch.lerp(partner, own, share.view(-1, 1, 1, 1)), share


class CutMix(_BetaShares):
    """A rectangle of the partner in place of the same one of the sample, arXiv:1905.04899.

    The share handed on is the exact part of the pixels that is left, since a rectangle may hang over the edge.
    """

    draws = 3  # the share, and the centre of the rectangle

    def __call__(self, own: Tensor, partner: Tensor, share: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        side = torch.sqrt(1 - share)
        rows = _between(uniform[:, 1], side, own.shape[-2])  # (batch, height)
        columns = _between(uniform[:, 2], side, own.shape[-1])  # (batch, width)
        inside = rows.unsqueeze(2) & columns.unsqueeze(1)  # (batch, height, width)
        mixed = torch.where(inside.unsqueeze(1), partner, own)
        return mixed, 1 - inside.float().mean(dim=(1, 2))


def _between(centre: Tensor, side: Tensor, length: int) -> Tensor:
    """Which of `length` positions lie in an interval of `side · length` around `centre · length`."""
    positions = torch.arange(length, device=centre.device) + 0.5
    return (positions - centre.unsqueeze(1) * length).abs() < side.unsqueeze(1) * length / 2


def beta_quantile(beta: float, uniform: Uniform) -> Uniform:
    """The inverse of the cumulative Beta(beta, beta) distribution."""
    if beta == 1:
        return uniform
    quantiles, values = _beta_table(beta)
    return np.interp(uniform, quantiles, values)


@cache
def _beta_table(beta: float, cells: int = 1 << 16) -> tuple[Uniform, Uniform]:
    """Integrate in the angle a, x = sin²(a), where the density sin(2a)^(2·beta - 1) is tame at both ends."""
    edges = np.linspace(0, np.pi / 2, cells + 1)
    density = np.sin(edges[:-1] + edges[1:]) ** (2 * beta - 1)  # at the middle of each cell
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    return cumulative / cumulative[-1], np.sin(edges) ** 2
