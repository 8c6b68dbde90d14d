"""Deep mutual learning: students that learn at once, from hard labels and from what each other says.

Σ over students of (1 - alpha) · hard + alpha · mean over its peers of soft(student, peer), the peer without
gradient. Zhang et al. 2018, arXiv:1706.00384, with T = 1 and both weights 1. All students see the same batch, and
all take their step from the same forward pass; the published code takes one student's after the other.

Whatever combines a hard and a soft loss is linear in the soft one, so each student has the objective of a student
with a teacher, is taught by one peer after the other, and the mean is taken. What a loss learns itself (a
temperature), each student has by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from distill_cli.data.batch import Batch
from distill_cli.losses.outputs import Outputs
from distill_cli.progress import Progress
from distill_cli.training.objectives import Distillation, Logs


@dataclass(frozen=True)
class Mutual:
    """The objective of `Peers`. Logs are the student's by their names, and each peer's as `peer_1_hard`."""

    lessons: tuple[Distillation, ...]  # one a student; whoever teaches it there is not asked

    @cached_property
    def parts(self) -> nn.ModuleList:
        return nn.ModuleList([lesson.parts for lesson in self.lessons])

    @property
    def views_per_sample(self) -> int:
        return self.lessons[0].views_per_sample

    def prepare(self, stretch: Batch) -> Batch:
        return self.lessons[0].hard.prepare(stretch)

    def __call__(self, outputs: Outputs, batch: Batch, progress: Progress) -> tuple[Tensor, Logs]:
        """`outputs` has the logits of all students, (students, batch, classes)."""
        each = outputs.logits.unbind()
        assert len(each) == len(self.lessons), f"{len(each)} students, {len(self.lessons)} lessons"
        said = [Outputs(logits.detach()) for logits in each]
        totals, logs = [], {}
        for number, (lesson, logits) in enumerate(zip(self.lessons, each, strict=True)):
            peers = said[:number] + said[number + 1 :]
            lessons = [lesson(Outputs(logits), replace(batch, teacher=peer), progress) for peer in peers]
            totals.append(_mean([total for total, _ in lessons]))
            prefix = f"peer_{number}_" if number else ""
            for name in lessons[0][1]:
                logs[prefix + name] = _mean([found[name] for _, found in lessons])
        return torch.stack(totals).sum(), logs


def _mean(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(list(values)).mean()
