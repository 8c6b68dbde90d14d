"""A trained model out of its artefact: architecture from the manifest, weights from safetensors, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from distill_cli.artifacts.store import read_manifest, verified
from distill_cli.errors import ArtifactError
from distill_cli.models.allow_list import check_allowed
from distill_cli.models.build import build_model
from distill_cli.models.weights import load_weights

WEIGHTS = "model.safetensors"


def load_model(path: str | Path) -> nn.Module:
    """See `distill_cli.load_model`."""
    directory = Path(path).parent if Path(path).name == WEIGHTS else Path(path)
    manifest = read_manifest(directory)
    if "model" not in manifest:
        raise ArtifactError(f"{directory} holds {manifest['kind']}, not a model")
    spec: dict[str, Any] = manifest["model"]
    check_allowed(spec)
    data = manifest["data"]
    channels, height, width = data["image_shape"]
    model = build_model(
        spec,
        num_classes=len(data["classes"]),
        image_shape=(channels, height, width),
        seed=0,
        pretrained=False,
    )
    load_weights(model, verified(directory, WEIGHTS))
    return model.eval()
