"""What a model hands to a loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from distill_cli.errors import ConfigError
from distill_cli.losses.rows import rows_of
from distill_cli.losses.top import TopLogits


@dataclass(frozen=True)
class Outputs:
    """`Outputs(logits)`, or `Outputs(None, top=…)` of a teacher of whom only the largest logits are kept."""

    dense: Tensor | None  # before the softmax, (batch, classes)
    top: TopLogits | None = None
    embedding: Tensor | None = None  # penultimate features, (batch, width)

    @property
    def logits(self) -> Tensor:
        """All of them, (batch, classes). Raises `ConfigError` where there are only the largest."""
        if self.dense is None:
            assert self.top is not None, "neither logits nor top"
            raise ConfigError(
                f"this loss needs all logits, soft_labels=top_k keeps {self.top.index.shape[1]} of them; "
                "use loss=kd or soft_labels=float16 (or int8)"
            )
        return self.dense

    @property
    def top_class(self) -> Tensor:
        """The most probable class, (batch,)."""
        return self.logits.argmax(dim=-1) if self.top is None else self.top.index[:, 0]

    def slice(self, start: int, stop: int) -> Outputs:
        """Rows [start, stop)."""
        return Outputs(
            None if self.dense is None else rows_of(self.dense, start, stop),
            None if self.top is None else self.top.slice(start, stop),
            None if self.embedding is None else rows_of(self.embedding, start, stop),
        )

    def double(self) -> Outputs:
        """In float64, for what measures and tests."""
        return Outputs(
            None if self.dense is None else self.dense.double(),
            None if self.top is None else self.top.double(),
            None if self.embedding is None else self.embedding.double(),
        )


def centred(logits: Tensor) -> Tensor:
    """Each row minus its mean, in the same dtype."""
    return logits - logits.mean(dim=-1, keepdim=True)


def at_least_float32(logits: Tensor) -> Tensor:
    """Half precision goes up to float32; float64 stays, so that losses can be held to reference values."""
    return logits if logits.dtype.itemsize >= 4 else logits.float()
