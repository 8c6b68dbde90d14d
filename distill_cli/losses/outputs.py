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
    features: tuple[Tensor, ...] = ()  # of the layers that a loss asked for: (batch, channels or width, ...)
    index: Tensor | None = None  # which train samples these are, (batch,), on the host

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
            tuple(rows_of(feature, start, stop) for feature in self.features),
            None if self.index is None else self.index[start:stop],
        )

    def take(self, rows: Tensor) -> Outputs:
        """The rows of these numbers, (rows,), on the device of the logits."""
        return Outputs(
            None if self.dense is None else self.dense[rows],
            None if self.top is None else self.top.take(rows),
            None if self.embedding is None else self.embedding[rows],
            tuple(feature[rows] for feature in self.features),
            None if self.index is None else self.index[rows.to(self.index.device)],
        )

    def double(self) -> Outputs:
        """In float64, for what measures and tests."""
        return Outputs(
            None if self.dense is None else self.dense.double(),
            None if self.top is None else self.top.double(),
            None if self.embedding is None else self.embedding.double(),
            tuple(feature.double() for feature in self.features),
            self.index,
        )

    @property
    def embedded(self) -> Tensor:
        """The embedding, (batch, width), in float32 at least. It is there for a loss that says it needs it."""
        assert self.embedding is not None, "no embedding: does the YAML of the loss say `needs: embedding`?"
        return at_least_float32(self.embedding)


def centred(logits: Tensor) -> Tensor:
    """Each row minus its mean, in the same dtype."""
    return logits - logits.mean(dim=-1, keepdim=True)


def at_least_float32(logits: Tensor) -> Tensor:
    """Half precision goes up to float32; float64 stays, so that losses can be held to reference values."""
    return logits if logits.dtype.itemsize >= 4 else logits.float()
