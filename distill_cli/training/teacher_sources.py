"""Where the teacher's outputs come from: rows on disk, or the teacher itself beside the student.

Both are asked for the batch's own views, so they say the same; the cached one up to its encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from distill_cli.data.batch import Batch
from distill_cli.losses.averaging import Average
from distill_cli.losses.outputs import Outputs
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.training.insights import Insights


class TeacherSource(Protocol):
    def ahead(self, stretch: Batch) -> Outputs | None:
        """What can be had for several batches at once without a bit of it changing; None: nothing."""
        ...

    def __call__(self, batch: Batch) -> Outputs: ...


@dataclass(frozen=True)
class CachedTeacher:
    """Rows of a label set."""

    labels: LabelReader

    def ahead(self, stretch: Batch) -> Outputs:
        return self.labels.outputs(stretch.index, stretch.view)

    def __call__(self, batch: Batch) -> Outputs:
        return self.labels.outputs(batch.index, batch.view)


@dataclass(frozen=True)
class OnlineTeacher:
    """The teacher's own forward pass, without gradient. It must be in eval mode, and stays in it."""

    model: nn.Module
    runtime: Runtime
    insights: Insights | None = None  # what is caught of it beside its logits

    def ahead(self, stretch: Batch) -> None:
        """Nothing: a forward pass rounds differently in batches of another size."""

    def __call__(self, batch: Batch) -> Outputs:
        return self.of(batch.inputs)

    def of(self, inputs: Tensor) -> Outputs:
        """What it says to pictures, (batch, channels, height, width)."""
        assert not self.model.training, "a teacher in training mode drifts while the student learns"
        with self.runtime.at_work():  # a large teacher is worth more threads than its student
            outputs = Outputs(predict(self.model, inputs, self.runtime))
        return outputs if self.insights is None else self.insights.join(outputs)


@dataclass(frozen=True)
class Ensemble:
    """Several teachers that speak as one. Each is asked by itself, so that each keeps its own cache."""

    members: tuple[TeacherSource, ...]
    average: Average

    def ahead(self, stretch: Batch) -> Outputs | None:
        if self.average.of == "probabilities":
            return None  # whose bits depend on the size of the batch
        found = [member.ahead(stretch) for member in self.members]
        known = [outputs for outputs in found if outputs is not None]
        return self.average(known) if len(known) == len(found) else None

    def __call__(self, batch: Batch) -> Outputs:
        return self.average([member(batch) for member in self.members])


@dataclass(frozen=True)
class NoTeacher:
    """For losses that need none: nothing is said."""

    def ahead(self, stretch: Batch) -> Outputs:
        return Outputs(None)

    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(None)
