"""Weights that come with an architecture: torchvision's `weights: NAME`, timm's `pretrained: true`. No torch.

A model that is trained starts from them, and its classifier is made anew where the data set has other classes. With
`teacher.checkpoint=pretrained` they are the teacher as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_cli.config.rules import require

AS_PUBLISHED = "pretrained"  # said in the place of a file: the weights that the model's spec names, untrained
NAMES = ("weights", "pretrained")  # arguments by which a spec asks for them
ARGUMENTS = (
    *NAMES,
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
)  # and which of them it gets


def names_weights(spec: Mapping[str, Any]) -> bool:
    """Whether a network of this spec is made with weights of others."""
    return any(spec.get(name) for name in NAMES)


def is_as_published(checkpoint: Any, model: Mapping[str, Any]) -> bool:
    """Whether `teacher.checkpoint` is the word. Raises `ConfigError` where the teacher's model names no weights."""
    if checkpoint != AS_PUBLISHED:
        return False
    rule = (
        "takes the weights that teacher.model names; set teacher.model.weights=IMAGENET1K_V1 (torchvision) "
        "or teacher.model.pretrained=true (timm)"
    )
    require(names_weights(model), "teacher.checkpoint", AS_PUBLISHED, rule)
    return True


def without_weights(spec: Mapping[str, Any]) -> dict[str, Any]:
    """For a network that gets its own anyway: nothing is fetched, here and in a spec that this one nests."""
    return {
        key: without_weights(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in ARGUMENTS
    }
