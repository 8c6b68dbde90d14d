"""DIST: T² · (β · (1 - mean row correlation) + γ · (1 - mean column correlation)) of softened probabilities.

A row is what one sample gets over the classes (the paper's inter-class relation), a column what the samples of a
batch get of one class (its intra-class relation); the correlation is Pearson's. Huang, You, Wang, Qian, Xu 2022,
arXiv:2205.10536. Scale and shift of a row or column cost the student nothing.

The trap: a correlation does not shrink as T grows, so here T² is a weight and no compensation: twice the
temperature is four times the loss. The authors' β and γ are for T = 4 on CIFAR-100 and T = 1 on ImageNet. In a
batch of one no class varies, and its column correlation counts as 0.
"""

from __future__ import annotations

from torch import Tensor

from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.pearson import correlation
from distill_cli.losses.soften import Temperature, scaled_mean


class Dist:
    def __init__(self, beta: float = 2.0, gamma: float = 2.0) -> None:
        self.beta, self.gamma = beta, gamma

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        of_student, of_teacher = (
            (at_least_float32(of.logits) / temperature).softmax(dim=-1) for of in (student, teacher)
        )
        inter = 1 - correlation(of_student, of_teacher, dim=1)  # (batch,)
        intra = 1 - correlation(of_student, of_teacher, dim=0).mean()  # ()
        return scaled_mean(self.beta * inter + self.gamma * intra, temperature)
