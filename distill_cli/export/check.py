"""Whether what was written computes what the student computes: both see real test samples.

The original goes the way it goes in training and evaluation, loader and all; the export gets raw pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from distill_cli.data.loader import Loader
from distill_cli.data.splits import Split
from distill_cli.errors import DistillError
from distill_cli.export.student import Logits, Run, Student
from distill_cli.models.predict import predict
from distill_cli.runtime.device import resolve

BATCH = 64  # pictures


@dataclass(frozen=True)
class Comparison:
    """Of the logits of an export with those of the original."""

    samples: int
    max_error: float
    agreement: float  # share of samples that both take for the same class

    @classmethod
    def of(cls, student: Student, run: Run, samples: int) -> Comparison:
        chosen = spread(student.data.test, samples)
        original, exported = _original(student, chosen), _exported(run, chosen)
        same = original.argmax(axis=1) == exported.argmax(axis=1)
        return cls(len(chosen), float(np.abs(original - exported).max()), float(same.mean()))

    def __str__(self) -> str:
        same = round(self.agreement * self.samples)
        return (
            f"largest difference of a logit {self.max_error:.2g} over {self.samples:,} test samples, "
            f"the same class in {same:,}"
        )

    def hold(self, tolerance: float) -> None:
        """Raises `DistillError` where the difference is larger, or not a number."""
        if not self.max_error <= tolerance:
            raise DistillError(f"nothing is exported: {self}, and export.tolerance={tolerance:g}")


def spread(split: Split, samples: int) -> Split:
    """That many samples, from the first to the last: a folder's are sorted by class."""
    count = min(samples, len(split))
    return split.take(np.arange(count) * len(split) // count)


def _original(student: Student, split: Split) -> Logits:
    cpu = resolve("cpu", "fp32", "false")
    loader = Loader(split, student.data, cpu.device, workers=0)
    with cpu.at_work():
        logits = [predict(student.model, batch.inputs, cpu) for batch in loader.clean(BATCH)]
    return torch.cat(logits).numpy()


def _exported(run: Run, split: Split) -> Logits:
    """The first picture alone, the others together, so that no size of a batch is built in.

    An only picture is run again beside itself: its rows are all to be held against the one of the original.
    """
    starts = [0, *range(1, len(split), BATCH)]
    parts: list[Sequence[int]] = [range(start, stop) for start, stop in pairwise([*starts, len(split)])]
    if len(split) == 1:
        parts = [range(1), [0, 0]]
    return np.concatenate([run(np.stack([split.clean(i) for i in part])) for part in parts])
