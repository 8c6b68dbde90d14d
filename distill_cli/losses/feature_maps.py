"""What losses between feature maps share: what they refuse, and how pairs of layers are weighed by their depth."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from distill_cli.errors import ConfigError
from distill_cli.losses.connectors import described
from distill_cli.losses.outputs import Outputs


def require_maps(student: Outputs, teacher: Outputs, loss: str, pairs: int = 1) -> None:
    """Raises `ConfigError` for units and tokens, and for fewer than `pairs` pairs of layers."""
    for whose, outputs in (("student", student), ("teacher", teacher)):
        for number, features in enumerate(outputs.features, start=1):
            if features.ndim != 4:
                raise ConfigError(
                    f"loss={loss} needs maps, and loss.layers names {described(features)} of the {whose} in pair "
                    f"{number}; name layers of convolutions, or take loss=activation_boundaries"
                )
    if len(student.features) < pairs:
        raise ConfigError(
            f"loss={loss} relates a layer to the next one and has {len(student.features)}; "
            f"name {pairs} pairs or more: loss.layers=[[layer1,layer1],[layer2,layer2]]"
        )


def halving_sum(losses: Sequence[Tensor]) -> Tensor:
    """The last one and half of what comes before: Σ losses[k] / 2^(last - k)."""
    total = losses[0]
    for loss in losses[1:]:
        total = total / 2 + loss
    return total
