"""How a row of logits is stored. Temperature stays free: what is kept are logits, never probabilities.

A new encoding is a class with these four members and a YAML under conf/soft_labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from distill_cli.config.targets import instantiate


class Encoding(Protocol):
    def row_dtype(self, classes: int) -> np.dtype[Any]: ...

    def row_shape(self, classes: int) -> tuple[int, ...]: ...

    def encode(self, logits: Tensor) -> np.ndarray:
        """float32 logits (rows, classes) as rows to be stored. Raises `OverflowError` with the first bad row."""
        ...

    def decode(self, rows: Tensor) -> Tensor:
        """Stored rows as float32 logits (rows, classes), on the rows' device."""
        ...


class Dense:
    """All logits, in `float16` or `float32`."""

    DTYPES = ("float16", "float32")

    def __init__(self, dtype: str) -> None:
        if dtype not in self.DTYPES:
            raise ValueError(f"dtype={dtype} must be one of {', '.join(self.DTYPES)}")
        self.dtype = np.dtype(dtype)

    def row_dtype(self, classes: int) -> np.dtype[Any]:
        return self.dtype

    def row_shape(self, classes: int) -> tuple[int, ...]:
        return (classes,)

    def encode(self, logits: Tensor) -> np.ndarray:
        limit = float(np.finfo(self.dtype).max)
        beyond = (logits.abs() > limit).any(dim=1).nonzero()
        if len(beyond):
            raise OverflowError(int(beyond[0]))
        return logits.to(getattr(torch, self.dtype.name)).cpu().numpy()

    def decode(self, rows: Tensor) -> Tensor:
        return rows.float()


LAYOUT = ("block", "batch_size")  # of the files; no business of the encoding


def open_encoding(spec: Mapping[str, Any]) -> Encoding:
    """From the composed `soft_labels` config."""
    encoding: Encoding = instantiate({key: value for key, value in spec.items() if key not in LAYOUT})
    return encoding
