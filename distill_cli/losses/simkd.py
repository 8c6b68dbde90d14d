"""SimKD: the mean square of what the student's embedding misses of the teacher's. There is no other loss.

Chen et al. 2022, arXiv:2203.14001. The student ends in the teacher's own classifier, frozen (`reuses_classifier`
in the YAML, `models/reused_classifier.py`), so its embedding has the teacher's width, and once it equals the
teacher's, so do the logits. The trap: nothing trains the classifier, so a hard loss is not needed, and the
published recipe has none.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature


class SimKd:
    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        own, theirs = student.embedded, teacher.embedded
        assert own.shape == theirs.shape, f"a student of width {own.shape[1]} for {theirs.shape[1]}"
        return F.mse_loss(own, theirs)
