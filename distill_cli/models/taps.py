"""Features of named layers, caught by hooks as they pass: torchvision's and timm's models work unchanged.

A layer is a module path (`layer1`, `features.3`), for what leaves the module, or a path with `:in`, for what goes
into it (`layer2.2.relu2:in`: before the activation). The trap: a hook sees every pass there is. So a student's
layers are tapped in train mode only and a teacher's in eval mode only; no pass of validation keeps its features
alive. A copy of the model carries no taps. Of a module that runs several times in a pass, the last time counts.

Taps come before the first compiled pass, which keeps the hooks that it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError

INPUT = ":in"  # at the end of a path: what goes into the module
Whose = Literal["student", "teacher"]


class Taps:
    """Catches the features of `paths` in each forward pass of `model`, until `close`.

    Raises `ConfigError` for a layer that the model does not have.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str], whose: Whose = "student") -> None:
        self.paths, self.whose = tuple(paths), whose
        modules = {path: find_layer(model, path, whose) for path in self.paths}
        self._taps = {path: _Tap(training=whose == "student") for path in modules}
        self._handles = [
            module.register_forward_pre_hook(self._taps[path].enter)
            if path.endswith(INPUT)
            else module.register_forward_hook(self._taps[path].leave)
            for path, module in modules.items()
        ]

    def take(self) -> tuple[Tensor, ...]:
        """Of the latest pass, in the order of `paths`, once. A student's carry their gradient.

        Raises `ConfigError` where a layer had no part in the pass, or gave what are no features.
        """
        caught = {
            path: tap.take(f"loss.layers: the {self.whose}'s layer {path!r}")
            for path, tap in self._taps.items()
        }
        return tuple(caught[path] for path in self.paths)

    def close(self) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()


def find_layer(model: nn.Module, path: str, whose: Whose = "student") -> nn.Module:
    """The module of a path, with or without `:in`. Raises `ConfigError` with what there is instead."""
    name, modules = path.removesuffix(INPUT), dict(model.named_modules())
    if name and name in modules:
        found: nn.Module = modules[name]
        return found
    parents = {path.rpartition(".")[0] for path in modules}
    parent = name
    while parent and parent not in parents:
        parent = parent.rpartition(".")[0]
    prefix = f"{parent}." if parent else ""
    there = [f"{prefix}{child}" for child, _ in modules[parent].named_children()]
    near = nearest(name, there) or nearest(name, modules)
    hint = f"did you mean {near!r}? It" if near else "it"
    raise ConfigError(
        f"loss.layers: the {whose} has no layer {name!r}; {hint} has {', '.join(there) or 'none'}"
    )


class _Tap:
    """What passed one place last. `training`: in which mode of the module it catches; None: in none."""

    def __init__(self, training: bool | None) -> None:
        self.training = training
        self.caught: Any = None
        self.version: int | None = (
            None  # of the caught tensor: each write into it counts; None where compiled
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _Tap:
        return _Tap(training=None)

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training is self.training:
            first = first_tensor(inputs)
            self._keep(
                first.clone() if isinstance(first, Tensor) else first
            )  # an in-place ReLU writes into it

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module.training is self.training:
            self._keep(first_tensor(output))

    def take(self, name: str) -> Tensor:
        caught, self.caught = self.caught, None
        if caught is None:
            raise ConfigError(f"{name} had no part in the forward pass; name another one")
        if not isinstance(caught, Tensor) or caught.ndim not in (2, 3, 4):
            what = tuple(caught.shape) if isinstance(caught, Tensor) else type(caught).__name__
            raise ConfigError(f"{name} gives {what}, which are no features of a batch; name another one")
        if self.version is not None and self.version != caught._version:
            raise ConfigError(
                f"{name} is written over by the one behind it; name that one, followed by {INPUT}"
            )
        return caught

    def _keep(self, features: Any) -> None:
        self.caught = features
        is_known = isinstance(features, Tensor) and not torch.compiler.is_compiling()
        self.version = features._version if is_known else None


def first_tensor(values: Any) -> Any:
    """What stands first where a module hands on several things."""
    return values[0] if isinstance(values, tuple | list) and values else values
