"""What an artefact may ask for: models, out of packages that hold models, and nothing that runs something else.

A name within an allowed package is not enough, since packages re-export what they use: the class must be a
`nn.Module` of such a package, or the function a maker of models in torchvision or timm.
"""

from __future__ import annotations

import os

from torch import nn

from distill_cli.config.targets import locate
from distill_cli.errors import ArtifactError, ConfigError

MODELS = ("distill_cli.models.", "torchvision.models.", "timm.", "transformers.")
MAKERS = ("torchvision.models.", "timm.")  # whose functions make models, too
VARIABLE = "DISTILL_ALLOW_TARGETS"  # prefixes, separated by commas, that the user vouches for


def check_allowed(target: str) -> None:
    """Raises `ArtifactError` where an artefact's `_target_` is not a model we may make."""
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
