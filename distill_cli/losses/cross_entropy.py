"""Cross-entropy with hard labels: the given ones, mixed ones, or the teacher's top class.

The trap: a label of -1 means "none". Such rows are left out of sum and count, and a batch without a single
label costs 0, not NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.labels import UNLABELLED
from distill_cli.losses.outputs import Outputs, at_least_float32


class TeacherCrossEntropy:
    """The teacher's most probable class as a hard label. There is no temperature in it."""

    def __call__(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: float) -> Tensor:
        return F.cross_entropy(at_least_float32(student.logits), teacher.logits.argmax(dim=-1))


def hard_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
    partner_labels: Tensor | None = None,
    share: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats, mean over what has a label.

    Where two samples are mixed, each label counts by its sample's share: (batch,), 1 if None.
    """
    total, weight = _weighted(logits, labels, label_smoothing, share)
    if partner_labels is not None and share is not None:
        partner_total, partner_weight = _weighted(logits, partner_labels, label_smoothing, 1 - share)
        total, weight = total + partner_total, weight + partner_weight
    return total / torch.where(weight > 0, weight, 1)


def _weighted(
    logits: Tensor, labels: Tensor, label_smoothing: float, weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Sum of weighted cross-entropies, and of the weights, over the rows that have a label."""
    labelled = (labels != UNLABELLED).to(logits.dtype if logits.dtype.itemsize >= 4 else torch.float32)
    weights = labelled if weights is None else labelled * weights
    per_row = F.cross_entropy(
        at_least_float32(logits),
        labels,
        ignore_index=UNLABELLED,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    return (weights * per_row).sum(), weights.sum()
