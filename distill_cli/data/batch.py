"""What a training step or a forward pass is given."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from distill_cli.losses.cross_entropy import label_weight


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
    label_weight: Tensor | None = None  # (): what hard losses are averaged over; None: the labels here

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> Batch:
        """Some rows of the batch, whose hard loss is averaged as if all rows were there."""
        partner, share = self.partner_labels, self.share
        weight = label_weight(self.labels, share)
        if partner is not None and share is not None:
            weight = weight + label_weight(partner, 1 - share)
        return Batch(
            self.inputs[start:stop],
            self.labels[start:stop],
            self.index[start:stop],
            self.view[start:stop],
            None if partner is None else partner[start:stop],
            None if share is None else share[start:stop],
            weight * (stop - start) / len(self),
        )
