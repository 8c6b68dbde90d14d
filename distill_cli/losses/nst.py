"""Neuron selectivity transfer: the squared maximum mean discrepancy between the channels of two layers.

A channel is a point: where it is active, the map of one sample divided by its norm. With the kernel
k(x, y) = (x · y)² the loss is mean k(s, s') + mean k(t, t') - 2 · mean k(s, t) over pairs of channels, mean
over the batch, summed over pairs of layers. Huang and Wang 2017, arXiv:1707.01219. Student and teacher may
differ in channels; larger maps are averaged to the size of the smaller ones.

The trap: written out, x · y for all pairs of channels is a tensor of channels² · positions a sample. The products
are matrices, S Sᵀ, T Tᵀ and S Tᵀ; and since the sum of the squares of A Bᵀ is that of the products of AᵀA and
BᵀB, the loss is as well ‖SᵀS / channels_s - TᵀT / channels_t‖², which is cheaper where positions are few.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.connectors import maps_of_one_size
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature

NAME = "nst"
LEAST_NORM = 1e-12  # of a channel that is active nowhere, as in `F.normalize`


class NeuronSelectivityTransfer:
    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """There are no parts. Raises `ConfigError` for features in which there is nowhere to be active."""
        maps_of_one_size(student, teacher, NAME)

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        pairs = maps_of_one_size(student, teacher, NAME)
        return torch.stack([discrepancy(own.flatten(2), theirs.flatten(2)) for own, theirs in pairs]).sum()


def discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """Of channels in rows, (batch, student's channels, positions) and (batch, teacher's channels, positions)."""
    own, theirs, positions = student.shape[1], teacher.shape[1], student.shape[2]
    if positions * (own + theirs) < own**2 + own * theirs + theirs**2:  # multiplications either way
        return between_positions(student, teacher)
    return between_channels(student, teacher)


def between_positions(student: Tensor, teacher: Tensor) -> Tensor:
    """By products of positions."""
    points = (F.normalize(rows, dim=2) for rows in (student, teacher))
    own, theirs = (rows.mT @ rows / rows.shape[1] for rows in points)  # (batch, positions, positions)
    return (own - theirs).square().sum() / len(student)


def between_channels(student: Tensor, teacher: Tensor) -> Tensor:
    """By products of channels. Their norms are on the diagonals, so no map is written anew."""
    own, theirs, mixed = student @ student.mT, teacher @ teacher.mT, student @ teacher.mT
    per_own, per_theirs = _over_norms(own), _over_norms(theirs)
    return (
        _kernel(own, per_own, per_own)
        + _kernel(theirs, per_theirs, per_theirs)
        - 2 * _kernel(mixed, per_own, per_theirs)
    )


def _over_norms(products: Tensor) -> Tensor:
    """1 / norm of each row, from what they are with each other, (batch, rows)."""
    return products.diagonal(dim1=1, dim2=2).clamp(min=LEAST_NORM**2).rsqrt()


def _kernel(products: Tensor, per_row: Tensor, per_column: Tensor) -> Tensor:
    """The mean of (x · y)² over all pairs and samples, once x and y have norm 1."""
    return (products * per_row[:, :, None] * per_column[:, None, :]).square().mean()
