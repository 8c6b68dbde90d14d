"""Soft labels of a teacher that is wrong or unsure: dropped, or counted less.

A soft loss L over n rows becomes w · L(all rows) + (1 - w) · kept / n · L(kept rows). Of a loss that is a mean over
rows this is the mean with weight 1 for a kept row and w for another. Of a loss that compares the rows of a batch
(RKD, DIST) it is the loss of a batch in which the others do not stand. The hard loss is that of all rows.

The traps: where w is above 0 a loss is called twice in a step, so one that keeps something of a step (a memory, the
statistics of a batch norm) is refused. And which rows are kept, and so their number, must be known before they can
be gathered. On a GPU the host waits for that once in a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from distill_cli.data.batch import Batch
from distill_cli.errors import ConfigError
from distill_cli.losses.labels import UNLABELLED
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature, log_probabilities
from distill_cli.training.terms import Term


@dataclass(frozen=True)
class TeacherFilter:
    """A teacher is wrong where its top class is no label of the picture: where there is none, never.

    It is unsure where its largest probability, at T = 1, is below `least_confidence`.
    """

    weight: float = 0.0  # of a soft label that is not kept
    least_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < 1:
            raise ValueError(f"weight={self.weight} must be in [0, 1): 0 drops")
        if not 0 <= self.least_confidence <= 1:
            raise ValueError(f"least_confidence={self.least_confidence} must be in [0, 1]: 0 is never unsure")

    def check(self, term: Term) -> None:
        """Raises `ConfigError` for a loss that would keep twice what it keeps of a step: in its buffers."""
        keeps = isinstance(term.loss, nn.Module) and any(True for _ in term.loss.buffers())
        if self.weight > 0 and term.is_taught and keeps:
            raise ConfigError(
                f"teacher_filter.weight={self.weight:g} calls loss={term.name} twice a step, which would "
                "remember it twice; use teacher_filter=drop"
            )

    def kept(self, teacher: Outputs, batch: Batch, views: int = 1) -> Tensor:
        """Numbers of the rows whose soft labels count in full, (kept,). The `views` of a sample stay together."""
        keeps = _may_be_right(teacher.top_class, batch)
        if self.least_confidence > 0:
            keeps = keeps & (_confidence(teacher) >= self.least_confidence)
        if views > 1:
            keeps = keeps.view(-1, views).all(dim=1).repeat_interleave(views)
        return keeps.nonzero().squeeze(1)

    def loss(
        self,
        term: Term,
        kept: Tensor,
        student: Outputs,
        teacher: Outputs,
        labels: Tensor,
        temperature: Temperature,
        inputs: Tensor,
    ) -> Tensor:
        """The loss of a term with these rows kept; one that does not listen to the teacher is left as it is."""
        rows = len(labels)
        if len(kept) == rows or not term.is_taught:
            return term(student, teacher, labels, temperature, inputs)
        total = student.logits[:0].sum()  # 0, with a graph
        if self.weight > 0:
            total = total + self.weight * term(student, teacher, labels, temperature, inputs)
        if len(kept) > 0:
            of_kept = temperature[kept] if _is_by_row(temperature) else temperature
            found = term(student.take(kept), teacher.take(kept), labels[kept], of_kept, inputs)
            total = total + (1 - self.weight) * len(kept) / rows * found
        return total


def _may_be_right(top_class: Tensor, batch: Batch) -> Tensor:
    """Whether a label of what is shown is the teacher's, or is not known, bool (batch,)."""
    own, partners, share = batch.labels, batch.partner_labels, batch.share
    fits = (own == top_class) | (own == UNLABELLED)
    if partners is None or share is None:
        return fits
    fits_partner = (partners == top_class) | (partners == UNLABELLED)
    return (fits & (share > 0)) | (fits_partner & (share < 1))


def _confidence(teacher: Outputs) -> Tensor:
    """The probability of its top class at T = 1, (batch,)."""
    if teacher.top is None:
        return log_probabilities(teacher.logits, 1.0).amax(dim=-1).exp()
    top = teacher.top
    every = top.logits if top.tail is None else torch.cat([top.logits, top.rest_at(1.0)[:, None]], dim=-1)
    return every.softmax(dim=-1)[:, 0]


def _is_by_row(temperature: Temperature) -> TypeGuard[Tensor]:
    return isinstance(temperature, Tensor) and temperature.ndim > 0
