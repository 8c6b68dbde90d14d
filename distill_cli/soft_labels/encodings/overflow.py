"""Logits that a type cannot hold are refused, never cut."""

from __future__ import annotations

from torch import Tensor


def require_within(limit: float, values: Tensor, remedy: str) -> None:
    """`values` is (rows, classes). Raises `OverflowError(row, remedy)` with the first row beyond the limit."""
    beyond = (values.abs() > limit).any(dim=1).nonzero()
    if len(beyond):
        raise OverflowError(int(beyond[0]), remedy)
