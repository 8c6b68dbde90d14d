"""FitNets: the mean of (r(student) - teacher)² over a hint layer, r a 1x1 convolution that trains along.

Romero, Ballas, Kahou, Chassang, Gatta, Bengio 2015, arXiv:1412.6550. The hint is the middle of the pairs of
layers, as in the paper and in RepDistiller. The larger maps are averaged to the size of the smaller ones.

The traps: teachers' features have any scale, so r has batch norm behind it, as in RepDistiller (its ReLU is left
out: features before an activation are negative, too). The paper trains up to the hint first, and then from the
logits; here both run side by side, as in RepDistiller.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.losses.connectors import MapPair, connectors_of, map_pairs, same_size
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature

HINTS = ("middle", "all")


class FitNets(nn.Module):
    """`hints`: which of the pairs of layers, one of `HINTS`; several are added up."""

    def __init__(self, hints: str = "middle", batch_norm: bool = True) -> None:
        super().__init__()
        if hints not in HINTS:
            raise ValueError(f"hints={hints}: must be {' or '.join(HINTS)}")
        self.hints, self.batch_norm = hints, batch_norm

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` for kinds of features that cannot be compared."""
        self.connectors = connectors_of(self._pairs(student, teacher), batch_norm=self.batch_norm)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        pairs = zip(self.connectors, self._pairs(student, teacher), strict=True)
        return torch.stack([hint_mse(connect(own), theirs) for connect, (own, theirs) in pairs]).sum()

    def _pairs(self, student: Outputs, teacher: Outputs) -> list[MapPair]:
        pairs = [same_size(*pair) for pair in map_pairs(student, teacher)]
        return pairs if self.hints == "all" else [pairs[len(pairs) // 2]]


def hint_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Of maps of one size with equal channels."""
    return F.mse_loss(student, teacher)
