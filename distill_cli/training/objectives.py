"""What a model is trained for. The loop calls an objective and knows nothing more about it.

An objective turns a model's outputs for a batch into a loss and the parts of it worth logging, all on the
device. `CrossEntropy` is the teacher's and the baseline's; `Distillation` adds what a teacher says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor, nn

from distill_cli.data.batch import Batch
from distill_cli.losses.cross_entropy import cross_entropy, hard_cross_entropy
from distill_cli.losses.learned_temperature import LearnedTemperature
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature
from distill_cli.progress import Progress
from distill_cli.schedules import Learned, Schedule
from distill_cli.training.insights import Insights
from distill_cli.training.teacher_filter import TeacherFilter
from distill_cli.training.teacher_sources import TeacherSource
from distill_cli.training.terms import Term

Logs = Mapping[str, Tensor]


class Objective(Protocol):
    @property
    def parts(self) -> nn.ModuleList:
        """What trains beside the model and is no part of it: connectors, memories, a temperature."""
        ...

    @property
    def views_per_sample(self) -> int:
        """In how many views a step shows each sample. They are rows side by side."""
        ...

    def prepare(self, stretch: Batch) -> Batch:
        """Look up what can be had for several batches at once. Rows, and their order, stay."""
        ...

    def __call__(self, outputs: Outputs, batch: Batch, progress: Progress) -> tuple[Tensor, Logs]: ...


@dataclass(frozen=True)
class CrossEntropy:
    """Hard labels alone."""

    label_smoothing: float = 0.0
    parts: nn.ModuleList = field(default_factory=nn.ModuleList)
    views_per_sample: int = 1

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
    """`(1 - alpha) · hard + alpha · soft`, with alpha and the temperature where they stand at the moment.

    What a term leaves of alpha by its schedule, the hard loss keeps. Terms with a weight of their own are added
    to that; where there are no others, the hard loss counts `hard_weight` and alpha is not used.
    """

    hard: CrossEntropy
    terms: tuple[Term, ...]
    teacher: TeacherSource
    temperature: Schedule
    alpha: Schedule
    hard_weight: float = 1.0
    student: Insights | None = None  # what is caught of the student beside its logits
    learned: LearnedTemperature | None = None  # in place of the temperature's schedule
    views_per_sample: int = 1
    teacher_filter: TeacherFilter | None = None  # of soft labels that are wrong or unsure

    @cached_property
    def parts(self) -> nn.ModuleList:
        modules = (*(term.loss for term in self.terms), self.learned)
        return nn.ModuleList([module for module in modules if isinstance(module, nn.Module)])

    def prepare(self, stretch: Batch) -> Batch:
        return replace(self.hard.prepare(stretch), teacher=self.teacher.ahead(stretch))

    def __call__(self, outputs: Outputs, batch: Batch, progress: Progress) -> tuple[Tensor, Logs]:
        student = replace(outputs, index=batch.index)
        student = student if self.student is None else self.student.join(student)
        teacher = self.teacher(batch) if batch.teacher is None else batch.teacher
        temperature = self._temperature(student, teacher, progress)
        hard = self.hard.loss(outputs, batch)
        losses, logs = self._losses(student, teacher, batch, temperature)
        if len(losses) == 1 and self.terms[0].weight is None:
            # (1 - alpha) · hard + alpha · soft in one operation
            alpha = self.alpha(progress) * self.terms[0].weighs(progress)
            total = torch.lerp(hard, losses[0].to(hard.dtype), alpha)
            return total, {"hard": hard.detach(), "soft": losses[0].detach(), **logs}
        total = self._sum(hard, losses, progress)
        named = {term.name: loss.detach() for term, loss in zip(self.terms, losses, strict=True)}
        soft = {"soft": losses[0].detach()} if len(losses) == 1 else named
        return total, {"hard": hard.detach(), **soft, **logs}

    def _losses(
        self, student: Outputs, teacher: Outputs, batch: Batch, temperature: Temperature
    ) -> tuple[list[Tensor], Logs]:
        """Of each term, without its weight."""
        seen = (student, teacher, batch.shown, temperature, batch.inputs)
        if self.teacher_filter is None:
            return [term(*seen) for term in self.terms], {}
        kept = self.teacher_filter.kept(teacher, batch, self.views_per_sample)
        share = torch.full((), len(kept) / len(batch), device=batch.labels.device)
        return [self.teacher_filter.loss(term, kept, *seen) for term in self.terms], {"kept": share}

    def _temperature(self, student: Outputs, teacher: Outputs, progress: Progress) -> Temperature:
        if self.learned is None:
            return self.temperature(progress)
        assert isinstance(self.temperature, Learned)
        return self.learned(student, teacher, self.temperature.strength(progress))  # type: ignore[no-any-return]

    def _sum(self, hard: Tensor, losses: list[Tensor], progress: Progress) -> Tensor:
        by_alpha = [term.weighs(progress) for term in self.terms if term.weight is None]
        alpha = self.alpha(progress)
        total = hard * (1 - alpha * fmean(by_alpha) if by_alpha else self.hard_weight)
        for term, loss in zip(self.terms, losses, strict=True):
            share = alpha if term.weight is None else 1.0
            total = total + share * term.weighs(progress) * loss.to(hard.dtype)
        return total
