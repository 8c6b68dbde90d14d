"""Several models that answer as one: what a report measures of an ensemble of teachers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from distill_cli.losses.averaging import Average


class Ensemble(nn.Module):
    """Asks all members, which have the same classes."""

    def __init__(self, members: Sequence[nn.Module], average: Average) -> None:
        super().__init__()
        self.members, self.average = nn.ModuleList(members), average

    def forward(self, pictures: Tensor) -> Tensor:
        return self.average.logits([member(pictures) for member in self.members])
