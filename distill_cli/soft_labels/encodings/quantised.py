"""Every logit, most of them in 8 or 4 bits, for high temperatures, where the tail carries the knowledge.

The few largest logits decide everything at low temperatures and stretch the range, so they are kept in float16;
the levels are spent on the narrow rest. Everything is relative to the row's largest logit, which is kept in
float32. Rows of so few classes that float16 costs no more keep all logits that way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.soft_labels.encodings.levels import fit_levels, nearest
from distill_cli.soft_labels.encodings.overflow import require_within
from distill_cli.soft_labels.encodings.structured import (
    BEYOND_FLOAT16,
    FLOAT16_MAX,
    index_type,
    packed,
    unpacked,
)

KEPT = 6  # largest logits of a row, in float16


class _Quantised(ABC):
    """What `Int8` and `Int4` share: all but the levels and the codes."""

    shape: tuple[int, ...] = ()
    levels: int  # numbers in a row that say what the codes stand for
    bits: int  # of a code

    def __init__(self, classes: int) -> None:
        self.classes = classes
        everything = np.dtype([("largest", "<f4"), ("kept", "<f2", (classes,))])
        quantised = np.dtype(self._fields())
        self.keeps_all = everything.itemsize <= quantised.itemsize
        self.dtype = everything if self.keeps_all else quantised

    def _fields(self) -> list[tuple[Any, ...]]:
        kept = min(KEPT, self.classes)
        return [
            ("largest", "<f4"),
            ("index", index_type(self.classes), (kept,)),
            ("kept", "<f2", (kept,)),
            ("levels", "<f2", (self.levels,)),
            ("codes", "<u1", (-(-self.classes * self.bits // 8),)),
        ]

    def encode(self, logits: Tensor) -> np.ndarray:
        largest = logits.amax(dim=1, keepdim=True)
        relative = logits - largest  # at most 0
        require_within(FLOAT16_MAX, relative, BEYOND_FLOAT16)
        if self.keeps_all:
            return packed(self.dtype, largest=largest[:, 0], kept=relative)
        kept, index = relative.topk(KEPT)
        levels, codes = self._quantise(relative, index)
        return packed(
            self.dtype, largest=largest[:, 0], index=index, kept=kept, levels=levels, codes=self._pack(codes)
        )

    def decode(self, rows: Tensor) -> Outputs:
        largest = unpacked(self.dtype, rows, "largest")[:, None]
        kept = unpacked(self.dtype, rows, "kept").float()
        if self.keeps_all:
            return Outputs(kept + largest)
        codes = self._unpack(unpacked(self.dtype, rows, "codes"))[:, : self.classes]
        relative = self._restore(unpacked(self.dtype, rows, "levels").float(), codes)
        return Outputs(relative.scatter(1, unpacked(self.dtype, rows, "index").long(), kept) + largest)

    @abstractmethod
    def _quantise(self, relative: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Levels (rows, levels) in float16, and a code for each class; those of `index` count for nothing."""

    @abstractmethod
    def _restore(self, levels: Tensor, codes: Tensor) -> Tensor:
        """Float32 logits less the row's largest, (rows, classes)."""

    def _pack(self, codes: Tensor) -> Tensor:
        return codes

    def _unpack(self, codes: Tensor) -> Tensor:
        return codes


class Int8(_Quantised):
    """256 evenly spaced levels; a row stores the lowest and the highest."""

    levels, bits = 2, 8

    def _quantise(self, relative: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        highest = relative.scatter(1, index, -torch.inf).amax(dim=1)
        ends = torch.stack([relative.amin(dim=1), highest], dim=1).half()
        low, high = ends[:, :1].float(), ends[:, 1:].float()
        share = (relative - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)
        return ends, (255 * share).round().clamp(0, 255).to(torch.uint8)

    def _restore(self, levels: Tensor, codes: Tensor) -> Tensor:
        low, high = levels[:, :1], levels[:, 1:]
        return low + codes * ((high - low) / 255)


class Int4(_Quantised):
    """16 levels, fitted to each row and stored in it. Two codes share a byte, the even class in its low half."""

    levels, bits = 16, 4

    def _quantise(self, relative: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        levels = fit_levels(relative, index, self.levels).half()
        return levels, nearest(levels.float(), relative)

    def _restore(self, levels: Tensor, codes: Tensor) -> Tensor:
        return levels.gather(1, codes.long())

    def _pack(self, codes: Tensor) -> Tensor:
        codes = torch.nn.functional.pad(codes, (0, self.classes % 2)).to(torch.uint8)
        return codes[:, ::2] | codes[:, 1::2] << 4

    def _unpack(self, codes: Tensor) -> Tensor:
        return torch.stack([codes & 15, codes >> 4], dim=2).flatten(1)  # (rows, classes or one more)
