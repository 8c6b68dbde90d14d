"""Optimizers without the compiler's front end.

Torch keeps its optimizers out of what `torch.compile` traces, and imports all of torch._dynamo for that: a second
or more, in a process that compiles nothing. It does so in two places. The wrapper of four methods of `Optimizer`
asks for it at the first call, but takes what it finds at the method under `FOUND` first. The wrapper of `step`
imports it at every call, to tell the compiler where a graph ends; without it, what is left of it is one switch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch.optim import Optimizer

Method = Callable[..., Any]
FOUND = "__dynamo_disable"  # as torch/_compile.py calls it
METHODS = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
MARKED = "_use_grad"  # torch/optim/optimizer.py's wrapper of step


def spare_dynamo(kind: object) -> None:
    """Let optimizers of this class run without torch._dynamo. Only where no step of theirs is compiled.

    What is put together in another way than here described stays as it is, and works as torch has it.
    """
    if "torch._dynamo" in sys.modules or not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        return
    for name in METHODS:
        bare = getattr(getattr(Optimizer, name, None), "__wrapped__", None)
        if bare is not None and not hasattr(bare, FOUND):
            setattr(bare, FOUND, bare)
    step: Any = getattr(kind, "step", None)
    if getattr(getattr(step, "__code__", None), "co_name", "") == MARKED and hasattr(step, "__wrapped__"):
        kind.step = _without_marks(step.__wrapped__)  # type: ignore[method-assign]


def _without_marks(step: Method) -> Method:
    """`MARKED` without its marks."""

    @wraps(step)
    def switched(self: Optimizer, *arguments: Any, **options: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *arguments, **options)

    return switched
