"""What a network costs: parameters, and multiply-adds (MACs) of one picture.

One decision to know: a MAC is half of what `FlopCounterMode` counts, which is convolutions, matrix products
and attention; normalisation, activations and pooling are free, as in the tables of the literature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Numbers in all parameters, frozen ones included, tied ones once; buffers are not parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one forward pass, in eval mode, of one picture (channels, height, width)."""
    some = next(model.parameters())
    picture = torch.zeros(1, *image_shape, device=some.device, dtype=some.dtype)
    # With a gradient to keep, attention takes no fused path that the counter cannot see into.
    with _evaluating(model), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        model(picture.requires_grad_().clone())
    return int(counter.get_total_flops()) // 2


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
