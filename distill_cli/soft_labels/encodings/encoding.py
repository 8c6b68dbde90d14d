"""What an encoding of logits offers, and how one is made from the config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from distill_cli.config.targets import instantiate
from distill_cli.losses.outputs import Outputs

# Keys of the config that are no business of the encoding.
LAYOUT = ("block", "batch_size", "resident", "allow_error", "embedding")


class Encoding(Protocol):
    """Made for a number of classes."""

    dtype: np.dtype[Any]  # of the stored array; little-endian
    shape: tuple[int, ...]  # of one row in it: (classes,), or () where rows are structured

    def encode(self, logits: Tensor) -> np.ndarray:
        """float32 logits (rows, classes), on any device, as rows to be stored.

        Raises `OverflowError(row, remedy)` with the first row that cannot be held.
        """
        ...

    def decode(self, rows: Tensor) -> Outputs:
        """Stored rows as bytes, uint8 (rows, row bytes), as the teacher's float32 outputs on their device."""
        ...


def row_bytes(encoding: Encoding) -> int:
    return encoding.dtype.itemsize * math.prod(encoding.shape)


def open_encoding(spec: Mapping[str, Any], classes: int) -> Encoding:
    """From the composed `soft_labels` config. Raises `ConfigError`."""
    own = {key: value for key, value in spec.items() if key not in LAYOUT}
    encoding: Encoding = instantiate(own, classes=classes)
    return encoding
