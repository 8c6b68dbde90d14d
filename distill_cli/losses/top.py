"""The k largest logits of each row, and of the rest only how much they weigh at any temperature."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from distill_cli.losses.rows import rows_of
from distill_cli.losses.tail import Tail


@dataclass(frozen=True)
class TopLogits:
    """Logits less the row's largest one: no probability depends on that, and they round less."""

    index: Tensor  # classes, the largest logit first, (batch, k), int64
    logits: Tensor  # theirs, at most 0, (batch, k)
    tail: Tail | None  # of all other classes; None: there are none

    def rest_at(self, temperature: float) -> Tensor:
        """Log-sum-exp of the other logits / T, in the frame of `logits`, (batch,). Needs a tail."""
        assert self.tail is not None, "all classes are among the k"
        return self.tail.log_sum_exp(temperature)

    def slice(self, start: int, stop: int) -> TopLogits:
        """Rows [start, stop)."""
        tail = None if self.tail is None else self.tail.slice(start, stop)
        return TopLogits(rows_of(self.index, start, stop), rows_of(self.logits, start, stop), tail)

    def take(self, rows: Tensor) -> TopLogits:
        """The rows of these numbers."""
        tail = None if self.tail is None else self.tail.take(rows)
        return TopLogits(self.index[rows], self.logits[rows], tail)

    def double(self) -> TopLogits:
        """In float64, for what measures and tests."""
        return TopLogits(self.index, self.logits.double(), None if self.tail is None else self.tail.double())
