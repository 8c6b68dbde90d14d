"""The terms of a soft loss: what is added up, with which weight, from which teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature
from distill_cli.progress import Progress
from distill_cli.schedules import Constant, Schedule

ALWAYS = Constant(1.0)


class SoftLoss(Protocol):
    """Mean over the batch; carries the T² factor itself, so that alpha means the same at every temperature."""

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor: ...


class PreviousStudent(Protocol):
    """The student that this one goes on from, asked about the same pictures."""

    def __call__(self, inputs: Tensor) -> Outputs: ...


@dataclass(frozen=True)
class Term:
    """One loss of the sum."""

    name: str
    loss: SoftLoss
    weight: float | None = None  # None: it goes by alpha
    schedule: Schedule = ALWAYS  # a factor on the weight
    features: tuple[int, ...] = ()  # which of the layers that are caught are its own
    previous: PreviousStudent | None = None  # whom it takes for its teacher; None: the teacher
    is_taught: bool = True  # it listens to the teacher

    def __call__(
        self,
        student: Outputs,
        teacher: Outputs,
        labels: Tensor,
        temperature: Temperature,
        inputs: Tensor,
    ) -> Tensor:
        """The loss, without its weight."""
        teacher = teacher if self.previous is None else self.previous(inputs)
        if self.features != tuple(range(len(student.features))):
            student, teacher = self._own(student), self._own(teacher)
        return self.loss(student, teacher, labels, temperature)

    def weighs(self, progress: Progress) -> float:
        """At this moment; as a part of alpha where it goes by that."""
        return (1.0 if self.weight is None else self.weight) * self.schedule(progress)

    def _own(self, outputs: Outputs) -> Outputs:
        if not outputs.features:
            return outputs
        return replace(outputs, features=tuple(outputs.features[number] for number in self.features))
