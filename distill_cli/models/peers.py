"""Models that learn together, from each other, as the one model that a training loop knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Peers(nn.Module):
    """The student is the first of them. In train mode all answer, in eval mode the student alone."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits, (members, batch, classes) or (batch, classes)."""
        if self.training:
            return torch.stack([member(pictures) for member in self.members])
        logits: Tensor = self.members[0](pictures)
        return logits


def trained_together(model: nn.Module) -> list[nn.Module]:
    """The student, then its peers; a model without peers by itself."""
    return list(model.members) if isinstance(model, Peers) else [model]
