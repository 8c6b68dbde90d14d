"""From the composed `optimizer` config to a torch optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from distill_cli.config.targets import instantiate


def build_optimizer(spec: Mapping[str, Any], model: nn.Module, *, decay_norm_and_bias: bool) -> Optimizer:
    """Any optimizer that takes parameter groups. Raises `ConfigError` where it refuses its arguments."""
    optimizer: Optimizer = instantiate(spec, params=parameter_groups(model, decay_norm_and_bias))
    return optimizer


def parameter_groups(model: nn.Module, decay_norm_and_bias: bool) -> list[dict[str, Any]]:
    """One group; or a second one without weight decay, for what has fewer than two axes."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if decay_norm_and_bias:
        return [{"params": parameters}]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
