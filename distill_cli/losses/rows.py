"""Rows of a tensor as if they had been allocated on their own."""

from __future__ import annotations

from torch import Tensor

ALIGNMENT = 64  # bytes, as torch allocates


def rows_of(values: Tensor, start: int, stop: int) -> Tensor:
    """Rows [start, stop), nothing copied unless their memory begins in an odd place.

    Matrix products round differently there, so a batch would depend on where the piece it was cut from began, and
    with it on where a run was interrupted.
    """
    rows = values[start:stop]
    return rows if rows.data_ptr() % ALIGNMENT == 0 else rows.clone()
