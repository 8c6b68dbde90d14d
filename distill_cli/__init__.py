"""Distil large trained classifiers into small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__version__ = "0.1.0"


def load_model(path: str | Path) -> nn.Module:
    """The trained model of a teacher or student artefact, on the CPU, in eval mode.

    `path` is the artefact's directory, or its `model.safetensors`; or `peer-1.safetensors` there, the first
    peer of a student that learned together with others. The model takes normalised float inputs
    (batch, channels, height, width) and returns logits (batch, classes); `artifact.json` beside the weights
    holds mean, std and class names.

    Raises `ArtifactError` where the artefact is incomplete, corrupt, or names an architecture that is
    not on the allow-list (see `DISTILL_ALLOW_TARGETS`).
    """
    from distill_cli.models.artifact import load_model  # torch, only when it is asked for

    return load_model(path)
