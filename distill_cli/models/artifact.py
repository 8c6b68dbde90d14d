"""A trained model out of its artefact: architecture from the manifest, weights from safetensors, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from distill_cli.artifacts.store import read_manifest, verified
from distill_cli.config.targets import TARGET
from distill_cli.errors import ArtifactError
from distill_cli.models.allow_list import check_allowed
from distill_cli.models.build import build_model
from distill_cli.models.weights import load_weights

WEIGHTS = "model.safetensors"
# Arguments that would fetch or unpickle weights, only to have them replaced.
DOWNLOADS = ("weights", "pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay")


def load_model(path: str | Path) -> nn.Module:
    """See `distill_cli.load_model`."""
    directory = Path(path).parent if Path(path).name == WEIGHTS else Path(path)
    manifest = read_manifest(directory)
    if "model" not in manifest:
        raise ArtifactError(f"{directory} holds {manifest['kind']}, not a model")
    spec: dict[str, Any] = {key: value for key, value in manifest["model"].items() if key not in DOWNLOADS}
    check_allowed(str(spec.get(TARGET)))
    data = manifest["data"]
    channels, height, width = data["image_shape"]
    model = build_model(spec, num_classes=len(data["classes"]), image_shape=(channels, height, width), seed=0)
    load_weights(model, verified(directory, WEIGHTS))
    return model.eval()
