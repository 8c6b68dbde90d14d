"""Factor transfer: the mean of |F_student/‖F_student‖ - F_teacher/‖F_teacher‖|, F being a sample's factors.

The teacher's factors are made of its maps by a paraphraser, three 3x3 convolutions to `rate` times its
channels, from which three more can make the maps again. The student's are made by a translator, three
convolutions as well. Kim, Park, Kwak 2018, arXiv:1802.04977. The paper has one pair of layers, the last one.

Where it departs from the paper: there the paraphraser is trained for some epochs beforehand and then stands
still. Here it learns beside the student, by its own error alone, so that the student does not shape the factors
that it is held to. They move most in the first epoch and come to rest as the learning rate falls; for that there
is no stage of its own, and nothing more to resume. To learn fast at any student's learning rate, the error is the
paper's square as a part of the squares of the maps, and the convolutions begin as He et al. 2015 do
(arXiv:1502.01852): after 60 steps they explain half of a teacher's maps, for which the authors' code takes 200.

The trap: RepDistiller compares means of squares over channels, as attention does, and its weight of 200 belongs
to that. This is the authors' loss, with their weight.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.losses.connectors import MapPair, map_pairs, same_size
from distill_cli.losses.feature_maps import require_maps
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature

PAIRS = ("last", "all")
SLOPE = 0.1  # of the leaky ReLUs below 0


class FactorTransfer(nn.Module):
    """`pairs`: which of the pairs of layers, one of `PAIRS`; several are added up.

    `reconstruction` weighs the paraphraser's own loss; that of the factors weighs 1.
    """

    def __init__(self, rate: float = 0.5, reconstruction: float = 0.002, pairs: str = "last") -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ValueError(f"rate={rate}: must be above 0, and at most 1")
        if pairs not in PAIRS:
            raise ValueError(f"pairs={pairs}: must be {' or '.join(PAIRS)}")
        self.rate, self.reconstruction, self.pairs = rate, reconstruction, pairs

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for other features than maps."""
        require_maps(student, teacher, "factor_transfer")
        self.paraphrases = nn.ModuleList(
            Paraphrase(own.shape[1], theirs.shape[1], self.rate)
            for own, theirs in self._pairs(student, teacher)
        )

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = zip(self.paraphrases, self._pairs(student, teacher), strict=True)
        parts = [paraphrase(*pair) for paraphrase, pair in pairs]
        return torch.stack([transfer + self.reconstruction * error for transfer, error in parts]).sum()

    def _pairs(self, student: Outputs, teacher: Outputs) -> list[MapPair]:
        pairs = map_pairs(student, teacher)
        return pairs if self.pairs == "all" else pairs[-1:]


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
        error = relative_error(self.decoder(factors), teacher)
        return factor_loss(*same_size(self.translator(student), factors.detach())), error


def relative_error(made: Tensor, maps: Tensor) -> Tensor:
    """The square of the difference, as a part of the square of the maps."""
    return (made - maps).square().sum() / maps.square().sum().clamp(min=torch.finfo(maps.dtype).tiny)


def factor_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Of factors, both (batch, factors, height, width)."""
    return F.l1_loss(F.normalize(student.flatten(1)), F.normalize(teacher.flatten(1)))


def _convolutions(*channels: int) -> nn.Sequential:
    layers = nn.Sequential()
    for pair in pairwise(channels):
        convolution = nn.Conv2d(*pair, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, a=SLOPE)
        layers.extend([convolution, nn.LeakyReLU(SLOPE)])
    return layers
