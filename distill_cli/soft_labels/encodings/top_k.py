"""The k largest logits, and how much the other classes weigh together at any temperature from 1 up.

A row holds these logits less the largest one in float16, and of the tail its largest logit and a table of its
log-sum-exp over temperatures (losses/tail.py). The table has no unit: it counts 1 / 65,535 of log(count).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_cli.errors import ConfigError
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.tail import Tail, node_count
from distill_cli.losses.top import TopLogits
from distill_cli.soft_labels.encodings.overflow import require_within
from distill_cli.soft_labels.encodings.structured import (
    BEYOND_FLOAT16,
    FLOAT16_MAX,
    index_type,
    packed,
    unpacked,
)

STEPS = 65_535


class TopK:
    """`k` may be all classes; there is no tail then."""

    shape: tuple[int, ...] = ()

    def __init__(self, k: int, classes: int) -> None:
        if type(k) is not int or k < 1:
            raise ConfigError(f"soft_labels.k={k} must be a whole number of at least 1")
        if k > classes:
            raise ConfigError(
                f"soft_labels=top_k: soft_labels.k={k} is more than the {classes} classes; "
                f"use soft_labels.k={max(1, classes // 2)} or soft_labels=float16"
            )
        self.k, self.rest = k, classes - k
        self.step = math.log(self.rest) / STEPS if self.rest > 1 else 1.0
        self.dtype = np.dtype(self._fields(classes))

    def _fields(self, classes: int) -> list[tuple[Any, ...]]:
        top = [("index", index_type(classes), (self.k,)), ("logits", "<f2", (self.k,))]
        tail = [("peak", "<f4"), ("excess", "<u2", (node_count(self.rest),))] if self.rest else []
        return [*top, *tail]

    def encode(self, logits: Tensor) -> np.ndarray:
        relative = logits - logits.amax(dim=1, keepdim=True)
        largest, index = relative.topk(self.k)
        require_within(FLOAT16_MAX, largest, BEYOND_FLOAT16)
        fields = {"index": index, "logits": largest}
        if self.rest:
            tail = Tail.of(_without(relative, index))
            fields |= {"peak": tail.peak, "excess": (tail.excess / self.step).round().clamp(0, STEPS).int()}
        return packed(self.dtype, **fields)

    def decode(self, rows: Tensor) -> Outputs:
        index = unpacked(self.dtype, rows, "index").long()
        return Outputs(None, TopLogits(index, unpacked(self.dtype, rows, "logits").float(), self._tail(rows)))

    def _tail(self, rows: Tensor) -> Tail | None:
        if not self.rest:
            return None
        excess = unpacked(self.dtype, rows, "excess").float() * self.step
        return Tail(unpacked(self.dtype, rows, "peak"), excess, self.rest)


def _without(logits: Tensor, index: Tensor) -> Tensor:
    """The logits of all other classes, (rows, classes - k)."""
    is_other = torch.ones_like(logits, dtype=torch.bool).scatter(1, index, False)
    return logits[is_other].view(len(logits), -1)
