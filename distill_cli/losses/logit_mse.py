"""Matching logits: ½ · mean over samples and classes of (student - teacher)².

Ba and Caruana 2014, arXiv:1312.6184. With `mean_free` each row's mean is taken off first; that is what `kd` tends
to as T grows (Hinton et al. 2015, section 2.1), value and gradient. There is no temperature in it.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs, at_least_float32, centred
from distill_cli.losses.soften import Temperature


class LogitMse:
    def __init__(self, mean_free: bool = False) -> None:
        self.mean_free = mean_free

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        difference = at_least_float32(student.logits) - at_least_float32(teacher.logits)
        if self.mean_free:
            difference = centred(difference)
        return difference.square().mean() / 2
