"""Rows of several fields: from tensors to a NumPy array of records, and from raw bytes back to tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

FLOAT16_MAX = 65_504.0
BEYOND_FLOAT16 = "use soft_labels=float32 or soft_labels=bfloat16"  # for a row whose logits lie further apart


def packed(dtype: np.dtype[Any], **fields: Tensor) -> np.ndarray:
    """Records (rows,) out of one tensor (rows, …) for each field, rounded to the field's type."""
    rows = np.empty(len(next(iter(fields.values()))), dtype)
    for name, values in fields.items():
        rows[name] = values.cpu().numpy()
    return rows


def unpacked(dtype: np.dtype[Any], rows: Tensor, name: str) -> Tensor:
    """One field of uint8 (rows, row bytes), in its stored type: (rows, …) on the rows' device."""
    assert dtype.fields is not None
    field, start = dtype.fields[name][:2]
    own = rows[:, start : start + field.itemsize].clone(memory_format=torch.contiguous_format)
    return own.view(getattr(torch, field.base.name)).view(len(rows), *field.shape)


def index_type(classes: int) -> str:
    """The narrowest unsigned integer that numbers the classes."""
    assert classes <= 1 << 32, classes
    return "<u1" if classes <= 1 << 8 else "<u2" if classes <= 1 << 16 else "<u4"
