"""An exponential moving average of a model's weights (Polyak and Juditsky 1992, doi:10.1137/0330046).

Torch's own `AveragedModel` does the same, but asks its step counter in every step, which on a GPU waits for the
device.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """`module` has decay · average + (1 - decay) · weights; after the first update, the weights themselves.

    Running means and variances are averaged as well, counters are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module, self.decay, self.updates = deepcopy(model).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        moving: tuple[list[Tensor], list[Tensor]] = ([], [])
        for average, weight in zip(_tensors(self.module), _tensors(model), strict=True):
            if self.updates and average.is_floating_point():
                moving[0].append(average)
                moving[1].append(weight)
            else:
                average.copy_(weight)
        if self.updates:
            torch._foreach_lerp_(*moving, 1 - self.decay)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.updates = state["updates"]


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
