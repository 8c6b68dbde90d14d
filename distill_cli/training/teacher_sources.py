"""Where the teacher's outputs come from: rows on disk, or the teacher itself beside the student.

Both are asked for the batch's own views, so they say the same; the cached one up to its encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from distill_cli.data.batch import Batch
from distill_cli.losses.outputs import Outputs
from distill_cli.models.penultimate import Penultimate
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime
from distill_cli.soft_labels.reader import LabelReader


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
    penultimate: Penultimate | None = None  # of the model, where embeddings are wanted

    def ahead(self, stretch: Batch) -> None:
        """Nothing: a forward pass rounds differently in batches of another size."""

    def __call__(self, batch: Batch) -> Outputs:
        assert not self.model.training, "a teacher in training mode drifts while the student learns"
        with self.runtime.at_work():  # a large teacher is worth more threads than its student
            logits = predict(self.model, batch.inputs, self.runtime)
        return Outputs(logits, embedding=None if self.penultimate is None else self.penultimate.take())
