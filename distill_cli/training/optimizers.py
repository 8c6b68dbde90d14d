"""From the composed `optimizer` config to a torch optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from distill_cli.config.targets import TARGET, instantiate, locate
from distill_cli.runtime.eager import spare_dynamo

FUSED = ("torch.optim.SGD", "torch.optim.Adam", "torch.optim.AdamW")
CHOICES = ("fused", "foreach", "differentiable")  # how an optimizer computes its step; it takes one at most


def build_optimizer(spec: Mapping[str, Any], model: nn.Module, *, decay_norm_and_bias: bool) -> Optimizer:
    """Any optimizer that takes parameter groups, fused where it can be: one pass over all weights.

    Raises `ConfigError` where it refuses its arguments.
    """
    spare_dynamo(locate(str(spec.get(TARGET, ""))))
    groups = parameter_groups(model, decay_norm_and_bias)
    fused = {"fused": True} if _can_fuse(spec, model) else {}
    optimizer: Optimizer = instantiate(spec, params=groups, **fused)
    return optimizer


def parameter_groups(model: nn.Module, decay_norm_and_bias: bool) -> list[dict[str, Any]]:
    """One group; or a second one without weight decay, for what has fewer than two axes."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if decay_norm_and_bias:
        return [{"params": parameters}]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


def _can_fuse(spec: Mapping[str, Any], model: nn.Module) -> bool:
    """These three can on every device; what the config chose itself stays."""
    if spec.get(TARGET) not in FUSED or any(choice in spec for choice in CHOICES):
        return False
    return all(parameter.is_floating_point() for parameter in model.parameters() if parameter.requires_grad)
