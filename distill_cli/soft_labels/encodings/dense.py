"""Every logit as it is, in one floating-point type."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.soft_labels.encodings.overflow import require_within

REMEDIES = {
    "float16": "use soft_labels=float32 or soft_labels=bfloat16",
    "bfloat16": "use soft_labels=float32",
    "float32": "no encoding holds them",
}
STORED = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}  # NumPy has no bfloat16: its bit patterns


class Dense:
    """All logits, in `float16`, `bfloat16` or `float32`."""

    def __init__(self, dtype: str, classes: int) -> None:
        if dtype not in STORED:
            raise ValueError(f"dtype={dtype} must be one of {', '.join(STORED)}")
        self.name = dtype
        self.number: torch.dtype = getattr(torch, dtype)
        self.dtype = np.dtype(STORED[dtype])
        self.shape: tuple[int, ...] = (classes,)

    def encode(self, logits: Tensor) -> np.ndarray:
        require_within(torch.finfo(self.number).max, logits, REMEDIES[self.name])
        rows = logits.to(self.number).cpu()
        return (rows.view(torch.uint16) if self.name == "bfloat16" else rows).numpy()

    def decode(self, rows: Tensor) -> Outputs:
        return Outputs(rows.clone().view(self.number).float())  # a copy is aligned
