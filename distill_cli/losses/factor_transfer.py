"""Factor transfer: the mean of |F_student/‖F_student‖ - F_teacher/‖F_teacher‖|, F being a sample's factors.

The teacher's factors are made of its maps by a paraphraser, three 3x3 convolutions to `rate` times its
channels, from which three more can make the maps again. The student's are made by a translator, three
convolutions as well. Kim, Park, Kwak 2018, arXiv:1802.04977. The paper has one pair of layers, the deepest; more
are averaged.

Where it departs from the paper: there the paraphraser is trained for some epochs beforehand and then stands
still. Here it learns beside the student, by its own error of reconstruction alone, the mean of |difference| as
in the authors' code: the student does not shape the factors that it is held to. They move while it learns, most
of all in the first epochs (the authors give it five), and come to rest as the learning rate falls. For that
there is no stage of its own, nothing to cache, and nothing more to resume.

The trap: RepDistiller compares means of squares over channels, as attention does, and its weight of 200 belongs
to that. This is the authors' loss, with their weight.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.connectors import map_pairs, same_size
from distill_cli.losses.feature_maps import require_maps
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature

SLOPE = 0.1  # of the leaky ReLUs below 0


class FactorTransfer(nn.Module):
    """Of the `deepest` pairs of layers.

    `reconstruction` weighs the paraphraser's own loss; that of the factors weighs 1.
    """

    def __init__(self, rate: float = 0.5, reconstruction: float = 0.002, deepest: int = 1) -> None:
        super().__init__()
        if not 0 < rate <= 1 or deepest < 1:
            raise ConfigError(f"loss.rate={rate}, loss.deepest={deepest}: must be in (0, 1], and 1 or more")
        self.rate, self.reconstruction, self.deepest = rate, reconstruction, deepest

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for other features than maps."""
        require_maps(student, teacher, "factor_transfer")
        pairs = map_pairs(student, teacher)[-self.deepest :]
        self.paraphrases = nn.ModuleList(
            Paraphrase(own.shape[1], theirs.shape[1], self.rate) for own, theirs in pairs
        )

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = map_pairs(student, teacher)[-self.deepest :]
        parts = [paraphrase(*pair) for paraphrase, pair in zip(self.paraphrases, pairs, strict=True)]
        return torch.stack([transfer + self.reconstruction * error for transfer, error in parts]).mean()


class Paraphrase(nn.Module):
    """Of one pair of layers."""

    def __init__(self, channels: int, teacher_channels: int, rate: float) -> None:
        super().__init__()
        factors = max(1, round(rate * teacher_channels))
        self.paraphraser = _convolutions(teacher_channels, teacher_channels, factors, factors)
        self.decoder = _convolutions(factors, factors, teacher_channels, teacher_channels)
        self.translator = _convolutions(channels, channels, factors, factors)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """How far the factors are from each other, and the maps made again from the teacher's."""
        factors = self.paraphraser(teacher)
        error = F.l1_loss(self.decoder(factors), teacher)
        return factor_loss(*same_size(self.translator(student), factors.detach())), error


def factor_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Of factors, both (batch, factors, height, width)."""
    return F.l1_loss(F.normalize(student.flatten(1)), F.normalize(teacher.flatten(1)))


def _convolutions(*channels: int) -> nn.Sequential:
    layers = [(nn.Conv2d(*pair, 3, padding=1), nn.LeakyReLU(SLOPE)) for pair in pairwise(channels)]
    return nn.Sequential(*(module for layer in layers for module in layer))
