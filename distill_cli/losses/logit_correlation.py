"""Correlation of logits: 1 - Pearson's correlation of a sample's student and teacher logits, mean over the batch.

The row part of DIST (Huang et al. 2022, arXiv:2205.10536) of the logits themselves. It differs from `dist` in
three ways: there is no softmax, so that classes a teacher deems unlikely count as much as its favourites; therefore
no temperature; and no column part. It equals half the mean square between standardised logits (those of `lskd`).

The trap: neither shift nor scale of the student's logits costs anything, so that only the hard loss sets how sure
the student is.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.pearson import correlation
from distill_cli.losses.soften import Temperature


class LogitCorrelation:
    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        per_sample = correlation(at_least_float32(student.logits), at_least_float32(teacher.logits), dim=-1)
        return 1 - per_sample.mean()
