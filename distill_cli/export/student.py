"""What is exported: a trained student, in float32 on the CPU, and the form in which a file holds it.

One decision to know: the graph of a file takes uint8 pictures of the model's size and normalises them itself, by
the very arithmetic of the loader. To decode, crop and resize is left to the caller, since pictures of a
batch differ in size and no graph resizes bit for bit as Pillow does; `preprocessing.json` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distill_cli.artifacts.store import Place, verified
from distill_cli.config.schema import Spec
from distill_cli.data.splits import DataSet, Pixels
from distill_cli.models.artifact import WEIGHTS, with_reused_classifier
from distill_cli.models.build import build_model
from distill_cli.models.weights import load_weights
from distill_cli.plan import Plan

Logits = NDArray[np.float32]
Run = Callable[[Pixels], Logits]  # (batch, channels, height, width) to (batch, classes)
Document = dict[str, Any]
PREPROCESSING = "preprocessing.json"


class Format(Protocol):
    """How a student is written, and how what was written is run again."""

    def write(self, student: Student, directory: Path) -> Mapping[str, Any]:
        """Facts about the files that come into `export.json`. Raises `DistillError` where it cannot be done."""
        ...

    def open(self, student: Student, directory: Path) -> Run:
        """Run the files themselves, as a stranger to the original model would."""
        ...


@dataclass(frozen=True)
class Student:
    """The student of a plan; `model` takes normalised pictures."""

    plan: Plan
    model: nn.Module

    @classmethod
    def of(cls, plan: Plan) -> Student:
        """Raises `ArtifactError` where the weights are damaged."""
        place = plan.student
        return cls(plan, trained(plan, verified(place.directory, WEIGHTS)))

    @property
    def place(self) -> Place:
        return self.plan.student

    @property
    def data(self) -> DataSet:
        return self.plan.data

    @property
    def classes(self) -> list[str]:
        return list(self.data.classes)

    def normalising(self) -> nn.Module:
        """The model as a graph holds it: uint8 pictures in."""
        return Normalised(self.model, self.data.mean, self.data.std).eval().requires_grad_(False)

    def preprocessing(self, *, normalised_by: str) -> Document:
        """What becomes of a picture before the network sees it, and what comes out: `preprocessing.json`."""
        channels, height, width = self.data.image_shape
        return {
            "picture": {
                "orientation": "turned as its EXIF says",
                "transparency": "laid on white",
                "mode": "L" if channels == 1 else "RGB",
                "crop": "the largest centred part of the proportions below",
                "resize": {"width": width, "height": height, "filter": "BILINEAR of Pillow, antialiased"},
            },
            "pixels": {"dtype": "uint8", "shape": ["batch", channels, height, width]},
            "normalise": {
                "by": normalised_by,
                "formula": "(pixels / 255 - mean) / std",
                "mean": list(self.data.mean),
                "std": list(self.data.std),
            },
            "logits": {"dtype": "float32", "shape": ["batch", len(self.classes)], "classes": self.classes},
        }


def architecture(plan: Plan) -> Spec:
    """As it was trained: a student may end in its teacher's classifier."""
    model = plan.config.student.model
    return with_reused_classifier(model, plan.student.directory) if plan.reuses_classifier else model


def trained(plan: Plan, weights: Path) -> nn.Module:
    """The student's network with the weights of a file."""
    model = build_model(
        architecture(plan),
        num_classes=len(plan.data.classes),
        image_shape=plan.data.image_shape,
        seed=0,
        pretrained=False,
    )
    load_weights(model, weights)
    return model.eval()


class Normalised(nn.Module):
    """A model that takes uint8 pictures; `mean` and `std` are of pixels in [0, 1], one a channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        means, stds = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        self.model = model
        self.register_buffer("scale", 1 / (255 * stds))
        self.register_buffer("shift", means / stds)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model(pixels.float() * self.scale - self.shift)
        return logits
