"""What a training step or a forward pass is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from distill_cli.losses.cross_entropy import label_weight
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.rows import rows_of


@dataclass(frozen=True)
class Batch:
    """Some samples, each in one view. A label of -1 means there is none.

    Where two samples are mixed into one view, `partner_labels` are the second one's and `share` is the first
    one's part, in [0, 1]; both are None otherwise. Much is made for several batches at once, as a longer batch
    that is then cut.
    """

    inputs: Tensor  # (batch, channels, height, width), normalised float32
    labels: Tensor  # (batch,)
    index: Tensor  # (batch,), on the host
    view: Tensor  # (batch,), on the host
    partner_labels: Tensor | None = None  # (batch,)
    share: Tensor | None = None  # (batch,)
    all_labelled: bool = False  # True: it is known, without a look at the device, that no label is missing
    targets: Tensor | None = (
        None  # (batch, classes), of mixed samples that are all labelled; rows add up to 1
    )
    label_weight: Tensor | None = None  # (): what hard losses are averaged over; None: the labels here
    main_labels: Tensor | None = None  # of mixed samples, that of the one with the larger share, (batch,)
    teacher: Outputs | None = (
        None  # what the teacher says of these views, where that was looked up beforehand
    )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shown(self) -> Tensor:
        """The label of what a view shows most of, (batch,)."""
        return self.labels if self.main_labels is None else self.main_labels

    def slice(self, start: int, stop: int) -> Batch:
        """Rows [start, stop) as a batch of their own."""

        return Batch(
            inputs=rows_of(self.inputs, start, stop),
            labels=self.labels[start:stop],
            index=self.index[start:stop],
            view=self.view[start:stop],
            partner_labels=None if self.partner_labels is None else self.partner_labels[start:stop],
            share=None if self.share is None else self.share[start:stop],
            all_labelled=self.all_labelled,
            targets=None if self.targets is None else self.targets[start:stop],
            main_labels=None if self.main_labels is None else self.main_labels[start:stop],
            teacher=None if self.teacher is None else self.teacher.slice(start, stop),
        )

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows, `size` at a time; the last batch may be smaller."""
        if len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            yield self.slice(start, start + size)

    def part(self, start: int, stop: int) -> Batch:
        """Some rows of the batch, whose hard loss is averaged as if all rows were there."""
        if self.all_labelled:
            return self.slice(start, stop)
        weight = label_weight(self.labels, self.share)
        if self.partner_labels is not None and self.share is not None:
            weight = weight + label_weight(self.partner_labels, 1 - self.share)
        return replace(self.slice(start, stop), label_weight=weight * (stop - start) / len(self))
