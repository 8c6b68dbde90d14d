"""Knowledge distillation from a teacher made by hand: T² · KL(softmax(v / T) ‖ softmax(student / T)).

v are the logits of a teacher who gives the labelled class the probability `confidence` and all others the same
rest. Yuan et al. 2020, Tf-KD_reg, arXiv:1909.11723. Mean over what has a label; no real teacher is asked. It has a
temperature of its own, since the other one is chosen for a real teacher.

The trap: the paper softens this teacher as one does logits, and the student with it (its L_reg). The published code
divides the teacher's probabilities by T where it should divide their logarithms, leaves the student at T = 1 and
has no T²: with 100 classes its target is 0.0105 for the right one and 0.01 for each other, label smoothing in all
but name. Here it is the paper's formula.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distill_cli.losses.kd import softened_kl
from distill_cli.losses.labels import UNLABELLED
from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.soften import Temperature


class TeacherFree:
    def __init__(self, confidence: float = 0.99, temperature: float = 20.0) -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence={confidence:g} must lie between 0 and 1")
        if temperature <= 0:
            raise ValueError(f"temperature={temperature:g} must be above 0")
        self.confidence, self.temperature = confidence, temperature

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        by_hand = Outputs(self._logits(labels, at_least_float32(student.logits)))
        is_labelled = labels != UNLABELLED
        per_row = softened_kl(student, by_hand, self.temperature) * is_labelled
        return self.temperature**2 * per_row.sum() / is_labelled.sum().clamp(min=1)

    def _logits(self, labels: Tensor, like: Tensor) -> Tensor:
        """Those of the teacher made by hand, but for a shift, (batch, classes)."""
        odds = self.confidence * (like.shape[-1] - 1) / (1 - self.confidence)
        right = labels.clamp(min=0)[:, None]
        return torch.zeros_like(like).scatter(1, right, math.log(odds))
