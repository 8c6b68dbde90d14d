"""What a network costs: parameters, and multiply-adds (MACs) of one picture.

One decision to know: a MAC is half of what `FlopCounterMode` counts, which is convolutions, matrix products
and attention; normalisation, activations and pooling are free, as in the tables of the literature. To import it
takes 0.2 s (it wants triton), so what most networks are made of is counted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

COUNTED = ("mm", "conv", "attention")  # in the name of whatever `FlopCounterMode` has a formula for
LEFT = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}  # which argument is the matrix on the left


def count_parameters(model: nn.Module) -> int:
    """Numbers in all parameters, frozen ones included, tied ones once; buffers are not parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_layers(model: nn.Module) -> int:
    """Convolutions and linear layers."""
    return sum(
        isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear) for module in model.modules()
    )


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one forward pass, in eval mode, of one picture (channels, height, width)."""
    some = next(model.parameters())
    picture = torch.zeros(1, *image_shape, device=some.device, dtype=some.dtype)
    # With a gradient to keep, attention takes no fused path that a counter cannot see into.
    with evaluating(model), torch.enable_grad():
        with _Products() as products:
            model(picture.requires_grad_().clone())
        if not products.others:
            return int(products.macs)
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            model(picture.clone())
    return int(counter.get_total_flops()) // 2


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Multiply-adds of products of matrices and of convolutions; `others` are products it cannot count."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import all of torch._dynamo, a second or more, to keep it out of here."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: int = 0
        self.others: set[str] = set()

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        result = operation(*arguments, **(options or {}))
        name = operation.name().rpartition("::")[2].partition(".")[0]
        if any(word in name for word in COUNTED):
            macs = _macs(name, arguments, result)
            self.macs += macs or 0
            self.others |= {name} if macs is None else set()
        return result


def _macs(name: str, arguments: Sequence[Any], result: Any) -> int | None:
    """For each element of the result, the length of a row on the left, or the size of a filter."""
    if name in LEFT:
        return int(result.numel() * arguments[LEFT[name]].shape[-1])
    if name == "convolution" and not arguments[6]:  # transposed
        return int(result.numel() * arguments[1][0].numel())
    return None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode meanwhile; each module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
