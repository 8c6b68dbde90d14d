"""One forward pass, the same for labelling, for a teacher beside its student, and for evaluation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distill_cli.runtime.device import Runtime


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor, runtime: Runtime) -> Tensor:
    """float32 logits (batch, classes) of a model in eval mode, without gradient."""
    with runtime.autocast():
        logits: Tensor = model(inputs.contiguous(memory_format=runtime.memory_format))
    return logits.float()
