"""Gradients of kernel taps that see nothing but padding: zero, whatever is found in memory there.

Torch's convolutions in half precision on a CPU (oneDNN, torch 2.15 on AVX512-BF16) do not write the gradients of
such taps: they hold what was in memory before, now and then infinity. It takes a kernel that is too large for its
picture, as the last stages of a resnet18 on 8x8 pictures have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from distill_cli.models.cost import evaluating


def zero_unseen_taps(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Have their gradients set to zero in every backward pass; how many convolutions have such taps."""
    seen: dict[Tensor, Tensor] = {}  # by any use of these weights
    for convolution, size in _convolutions(model, image_shape):
        weight, taps = convolution.weight, seen_taps(convolution, size)
        seen[weight] = taps | seen[weight] if weight in seen else taps
    unseen = [weight for weight, taps in seen.items() if not taps.all() and weight.requires_grad]
    for weight in unseen:
        hook = partial(_keep_seen, seen[weight].to(weight.device))
        weight.register_hook(hook)  # type: ignore[no-untyped-call]
    return len(unseen)


def _keep_seen(taps: Tensor, gradient: Tensor) -> Tensor:
    return torch.where(taps, gradient, 0)


def seen_taps(convolution: nn.Conv2d, size: Sequence[int]) -> Tensor:
    """Which taps meet a pixel of a picture of this height and width, bool (kernel height, kernel width)."""
    axes = [_seen(convolution, axis, length) for axis, length in enumerate(size)]
    return axes[0].unsqueeze(1) & axes[1]


def _seen(convolution: nn.Conv2d, axis: int, length: int) -> Tensor:
    kernel, stride, dilation = (
        getattr(convolution, name)[axis] for name in ("kernel_size", "stride", "dilation")
    )
    reach = dilation * (kernel - 1)
    before, after = _padding(convolution, axis, reach)
    outputs = torch.arange((length + before + after - reach - 1) // stride + 1).unsqueeze(1)
    pixels = outputs * stride + torch.arange(kernel) * dilation - before  # (outputs, taps)
    seen: Tensor = (pixels >= 0) & (pixels < length)
    return seen.any(dim=0)


def _padding(convolution: nn.Conv2d, axis: int, reach: int) -> tuple[int, int]:
    """Zeros before and after; other kinds of padding are pixels to a kernel, so all taps count as seeing some."""
    if convolution.padding == "same":
        return reach // 2, reach - reach // 2
    if convolution.padding == "valid":
        return 0, 0
    zeros = int(convolution.padding[axis])
    return zeros, zeros


def _convolutions(
    model: nn.Module, image_shape: tuple[int, int, int]
) -> Iterator[tuple[nn.Conv2d, tuple[int, ...]]]:
    """Every convolution with zeros around, and the height and width that it is given, as often as it is called.

    Only torch's own class: others may pad their pictures themselves before they convolve.
    """
    found: list[tuple[nn.Conv2d, tuple[int, ...]]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        found.append((module, tuple(inputs[0].shape[-2:])))

    layers = [m for m in model.modules() if type(m) is nn.Conv2d and m.padding_mode == "zeros"]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with evaluating(model), torch.no_grad():
        model(torch.zeros(1, *image_shape, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    yield from found
