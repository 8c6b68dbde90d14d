"""What an artefact may ask for: models, out of packages that hold models, and nothing that runs something else.

A name within an allowed package is not enough, since packages re-export what they use: the class must be a
`nn.Module` of such a package, or the function a maker of models in torchvision or timm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from distill_cli.config.targets import TARGET, locate
from distill_cli.errors import ArtifactError, ConfigError

MODELS = ("distill_cli.models.", "torchvision.models.", "timm.", "transformers.")
MAKERS = ("torchvision.models.", "timm.")  # whose functions make models, too
VARIABLE = "DISTILL_ALLOW_TARGETS"  # prefixes, separated by commas, that the user vouches for


def check_allowed(spec: Mapping[str, Any]) -> None:
    """Raises `ArtifactError` where a `_target_` of an artefact's spec, or of what it nests, is no such model."""
    for target in (str(spec.get(TARGET)), *_nested(list(spec.values()))):
        _check_target(target)


def _nested(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (str(value[TARGET]),) if TARGET in value else ()
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _nested(item)


def _check_target(target: str) -> None:
    vouched_for = tuple(prefix for prefix in os.environ.get(VARIABLE, "").split(",") if prefix)
    if vouched_for and target.startswith(vouched_for):
        return
    if not (target.startswith(MODELS) and _makes_models(target)):
        raise ArtifactError(
            f"the artefact asks for {target!r}, which is not on the allow-list; "
            f"if you trust it, set {VARIABLE}={target.rpartition('.')[0]}."
        )


def _makes_models(target: str) -> bool:
    try:
        found = locate(target)
    except ConfigError as error:
        raise ArtifactError(f"the artefact cannot be loaded here: {error}") from None
    home = f"{getattr(found, '__module__', '')}."
    if isinstance(found, type):
        return issubclass(found, nn.Module) and home.startswith(MODELS)
    return home.startswith(MAKERS)
