"""What each module of a model hands on in one forward pass of two pictures, in eval mode: how layers are found.

The tensors are kept, not only their shapes. So it can be told which are one and the same, and which are written
over by the next module, as a ReLU in place does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from distill_cli.models.build import ImageShape
from distill_cli.models.cost import evaluating
from distill_cli.models.taps import first_tensor

PICTURES = 2


@dataclass(frozen=True)
class Passed:
    """What left a module the last time that it ran."""

    path: str
    module: nn.Module
    features: Tensor
    version: int  # of the tensor then

    @property
    def stays(self) -> bool:
        """Nobody wrote into it later on."""
        return self.features._version == self.version

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture."""
        return tuple(self.features.shape[1:])


@torch.no_grad()
def example_pass(model: nn.Module, image_shape: ImageShape) -> list[Passed]:
    """Of modules with a row a picture, in the order in which they ended: a module after those in it."""
    some = next(model.parameters())
    pictures = torch.rand(PICTURES, *image_shape, generator=torch.Generator().manual_seed(0))
    with evaluating(model), _listening(model) as passed:
        model(pictures.to(some.device, some.dtype))
    return list(passed.values())


@contextmanager
def _listening(model: nn.Module) -> Iterator[dict[str, Passed]]:
    passed: dict[str, Passed] = {}
    handles = [
        module.register_forward_hook(partial(_note, passed, path))
        for path, module in model.named_modules()
        if path
    ]
    try:
        yield passed
    finally:
        for handle in handles:
            handle.remove()


def _note(passed: dict[str, Passed], path: str, module: nn.Module, inputs: Any, output: Any) -> None:
    features = first_tensor(output)
    passed.pop(path, None)  # it stands where it ended last
    if isinstance(features, Tensor) and features.ndim >= 2 and len(features) == PICTURES:
        passed[path] = Passed(path, module, features, features._version)
