"""What a model hands to a loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """Logits before the softmax, (batch, classes). Embeddings and feature maps will join here."""

    logits: Tensor


def centred(logits: Tensor) -> Tensor:
    """Each row minus its mean, in the same dtype."""
    return logits - logits.mean(dim=-1, keepdim=True)


def at_least_float32(logits: Tensor) -> Tensor:
    """Half precision goes up to float32; float64 stays, so that losses can be held to reference values."""
    return logits if logits.dtype.itemsize >= 4 else logits.float()
