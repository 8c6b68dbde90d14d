"""What a training step or a forward pass is given."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some samples, each in one view. A label of -1 means there is none.

    Where two samples are mixed into one view, `partner_labels` are the second one's and `share` is the first
    one's part, in [0, 1]; both are None otherwise.
    """

    inputs: Tensor  # (batch, channels, height, width), normalised float32
    labels: Tensor  # (batch,)
    index: Tensor  # (batch,), on the host
    view: Tensor  # (batch,), on the host
    partner_labels: Tensor | None = None  # (batch,)
    share: Tensor | None = None  # (batch,)

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> Batch:
        """Some rows of the batch."""
        partner, share = self.partner_labels, self.share
        return Batch(
            self.inputs[start:stop],
            self.labels[start:stop],
            self.index[start:stop],
            self.view[start:stop],
            None if partner is None else partner[start:stop],
            None if share is None else share[start:stop],
        )
