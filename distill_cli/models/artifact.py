"""A trained model out of its artefact: architecture from the manifest, weights from safetensors, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from distill_cli.artifacts.store import WEIGHTS as WEIGHTS
from distill_cli.artifacts.store import read_manifest, verified
from distill_cli.errors import ArtifactError
from distill_cli.models.allow_list import check_allowed
from distill_cli.models.build import build_model
from distill_cli.models.reused_classifier import wrapped
from distill_cli.models.weights import load_weights

WEIGHTS_SUFFIX = ".safetensors"


def load_model(path: str | Path) -> nn.Module:
    """See `distill_cli.load_model`."""
    is_file = Path(path).suffix == WEIGHTS_SUFFIX
    directory, file = (Path(path).parent, Path(path).name) if is_file else (Path(path), WEIGHTS)
    manifest = read_manifest(directory)
    if "model" not in manifest:
        raise ArtifactError(f"{directory} holds {manifest['kind']}, not a model")
    specs = _specs(manifest)
    if file not in specs:
        raise ArtifactError(f"{path}: there is no such model; {directory} has {', '.join(specs)}")
    spec = specs[file]
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
    load_weights(model, verified(directory, file))
    return model.eval()


def with_reused_classifier(spec: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The architecture of a student of this spec that ends in its teacher's classifier.

    Of its artefact a width is believed and nothing else: what it names is not made. Raises `ArtifactError`.
    """
    width = read_manifest(directory)["model"].get("width")
    if type(width) is not int or width < 1:
        raise ArtifactError(f"{directory} says of no teacher's classifier; remove it and run again")
    return wrapped(spec, width)


def peer_weights(number: int) -> str:
    """Where a student's peer lies beside it, from 1."""
    return f"peer-{number}{WEIGHTS_SUFFIX}"


def _specs(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The architecture of each file."""
    peers = {peer_weights(number): spec for number, spec in enumerate(manifest.get("peers", ()), 1)}
    return {WEIGHTS: manifest["model"], **peers}
