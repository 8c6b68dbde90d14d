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
from distill_cli.losses.soften import Temperature


class TeacherCrossEntropy:
    """The teacher's most probable class as a hard label. There is no temperature in it."""

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        return F.cross_entropy(at_least_float32(student.logits), teacher.top_class)


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over a batch that is labelled throughout, in nats.

    `targets` are labels, (batch,), or rows of probabilities, (batch, classes).
    """
    return F.cross_entropy(at_least_float32(logits), targets, label_smoothing=label_smoothing)


def hard_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
    partner_labels: Tensor | None = None,
    share: Tensor | None = None,
    average_over: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats, mean over what has a label, wherever labels may be missing.

    Where two samples are mixed, each label counts by its sample's share: (batch,), 1 if None. A part of a
    batch is averaged over the weight that the whole batch says, `average_over`.
    """
    total, weight = _total(logits, labels, label_smoothing, share), label_weight(labels, share)
    if partner_labels is not None and share is not None:
        total = total + _total(logits, partner_labels, label_smoothing, 1 - share)
        weight = weight + label_weight(partner_labels, 1 - share)
    weight = weight if average_over is None else average_over
    return total / torch.where(weight > 0, weight, 1)


def label_weight(labels: Tensor, share: Tensor | None = None) -> Tensor:
    """The sum of the shares, 1 if None, of the rows that have a label, ()."""
    labelled = labels != UNLABELLED
    return labelled.sum() if share is None else (labelled * share).sum()


def _total(logits: Tensor, labels: Tensor, label_smoothing: float, share: Tensor | None) -> Tensor:
    """The sum of the cross-entropies of the rows that have a label, each times its share."""
    per_row = F.cross_entropy(
        at_least_float32(logits),
        labels,
        ignore_index=UNLABELLED,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    return (per_row if share is None else per_row * share).sum()
