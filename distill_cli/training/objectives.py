"""What a model is trained for. The loop calls an objective and knows nothing more about it.

An objective turns a model's outputs for a batch into a loss and the parts of it worth logging, all on the
device. `CrossEntropy` is the teacher's and the baseline's; `Distillation` adds what a teacher says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from distill_cli.data.batch import Batch
from distill_cli.losses.cross_entropy import cross_entropy, hard_cross_entropy
from distill_cli.losses.outputs import Outputs
from distill_cli.progress import Progress
from distill_cli.schedules import Schedule
from distill_cli.training.teacher_sources import TeacherSource

Logs = Mapping[str, Tensor]


class Objective(Protocol):
    def prepare(self, stretch: Batch) -> Batch:
        """Look up what can be had for several batches at once. Rows, and their order, stay."""
        ...

    def __call__(self, outputs: Outputs, batch: Batch, progress: Progress) -> tuple[Tensor, Logs]: ...


class SoftLoss(Protocol):
    """Mean over the batch; carries the T² factor itself, so that alpha means the same at every temperature."""

    def __call__(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: float) -> Tensor: ...


@dataclass(frozen=True)
class CrossEntropy:
    """Hard labels alone."""

    label_smoothing: float = 0.0

    def prepare(self, stretch: Batch) -> Batch:
        return stretch

    def __call__(self, outputs: Outputs, batch: Batch, progress: Progress) -> tuple[Tensor, Logs]:
        hard = self.loss(outputs, batch)
        return hard, {"hard": hard.detach()}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Mean over what has a label, ()."""
        if batch.all_labelled:
            targets = batch.labels if batch.targets is None else batch.targets
            return cross_entropy(outputs.logits, targets, self.label_smoothing)
        return hard_cross_entropy(
            outputs.logits,
            batch.labels,
            self.label_smoothing,
            batch.partner_labels,
            batch.share,
            batch.label_weight,
        )


@dataclass(frozen=True)
class Distillation:
    """`(1 - alpha) · hard + alpha · soft`, with alpha and the temperature where they stand at the moment."""

    hard: CrossEntropy
    soft: SoftLoss
    teacher: TeacherSource
    temperature: Schedule
    alpha: Schedule

    def prepare(self, stretch: Batch) -> Batch:
        return replace(self.hard.prepare(stretch), teacher=self.teacher.ahead(stretch))

    def __call__(self, outputs: Outputs, batch: Batch, progress: Progress) -> tuple[Tensor, Logs]:
        teacher = self.teacher(batch) if batch.teacher is None else batch.teacher
        hard = self.hard.loss(outputs, batch)
        soft = self.soft(outputs, teacher, batch.labels, self.temperature(progress))
        # (1 - alpha) · hard + alpha · soft in one operation
        total = torch.lerp(hard, soft.to(hard.dtype), self.alpha(progress))
        return total, {"hard": hard.detach(), "soft": soft.detach()}
