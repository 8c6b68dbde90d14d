"""Weights that come with an architecture: torchvision's `weights: NAME`, timm's `pretrained: true`. No torch.

A model that is trained starts from them, and its classifier is made anew where the data set has other classes. With
`teacher.checkpoint=pretrained` they are the teacher as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from distill_cli.config.rules import require
from distill_cli.config.targets import TARGET

PUBLISHERS = ("torchvision.", "timm.")  # elsewhere an argument of such a name may be anything
AS_PUBLISHED = "pretrained"  # said in the place of a file: the weights that the model's spec names, untrained
NAMES = ("weights", "pretrained")  # arguments by which a spec asks for them
ARGUMENTS = (
    *NAMES,
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
)  # and which of them it gets
FILES = ("file", "checkpoint_path")  # of which a key would know the name alone
LOCAL = "local-dir:"  # timm's, likewise


def names_weights(spec: Mapping[str, Any]) -> bool:
    """Whether a network of this spec is made with weights of others."""
    return _is_of_a_publisher(spec) and any(spec.get(name) for name in NAMES)


def refuse_files(spec: Mapping[str, Any], above: str = "") -> None:
    """Raises `ConfigError` where a file is named inside a spec: another of that name would count as the same."""
    rule = "names a file, and another of that name would count as the same; set teacher.checkpoint=FILE.safetensors"
    for name, value in spec.items():
        if isinstance(value, Mapping):
            refuse_files(value, f"{above}{name}.")
    for name, value in _entries(spec) if _is_of_a_publisher(spec) else ():
        is_file = value and (name.rpartition(".")[2] in FILES or str(value).startswith(LOCAL))
        require(not is_file, f"{above}{name}", value, rule)


def is_as_published(checkpoint: Any, model: Mapping[str, Any], channels: int) -> bool:
    """Whether `teacher.checkpoint` is the word. Raises `ConfigError` where the teacher's model names no weights.

    So it does for pictures that are not in colour: these weights have seen no others.
    """
    if checkpoint != AS_PUBLISHED:
        return False
    rule = (
        "takes the weights that teacher.model names; set teacher.model.weights=IMAGENET1K_V1 (torchvision) "
        "or teacher.model.pretrained=true (timm)"
    )
    require(names_weights(model), "teacher.checkpoint", AS_PUBLISHED, rule)
    colour = "is for pictures in colour; leave it out: the weights are adapted then, and trained"
    require(channels == 3, "teacher.checkpoint", AS_PUBLISHED, colour)
    return True


def without_weights(spec: Mapping[str, Any]) -> dict[str, Any]:
    """For a network that gets its own anyway: nothing is fetched, here and in a spec that this one nests."""
    return {
        key: without_weights(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in ARGUMENTS or not _is_of_a_publisher(spec)
    }


def _is_of_a_publisher(spec: Mapping[str, Any]) -> bool:
    return str(spec.get(TARGET, "")).startswith(PUBLISHERS)


def _entries(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Flat, under dotted names."""
    for name, value in spec.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{below}", inner) for below, inner in _entries(value))
        else:
            yield name, value
