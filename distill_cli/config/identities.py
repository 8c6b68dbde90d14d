"""Which settings join a key. What came later joins only where it is used, so that older keys stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from distill_cli.config.bias import FIT, Bias
from distill_cli.config.schema import Evaluate, Training

OUTSIDE_THE_RECIPE = (
    "model",
    "seed",
    "checkpoint",
    "views",
    "average",
    "weights",
    "init",
)  # named on their own
LATER = ("max_norm", "bias")  # null unless used


def recipe_identity(training: Training) -> dict[str, Any]:
    """How a model is trained."""
    names = [field.name for field in fields(training) if field.name not in OUTSIDE_THE_RECIPE]
    return _used({name: getattr(training, name) for name in names})


def report_identity(evaluate: Evaluate, bias: Bias) -> dict[str, Any]:
    """What is measured, with the bias by the names of the classes."""
    said = {name: FIT if value is None else value for name, value in bias.items()}
    return _used({**asdict(evaluate), "bias": said or None})


def _used(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in LATER or value is not None}
